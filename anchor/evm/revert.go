package evm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/anchor/evm/bind/loganchor"
)

var contractABI = loganchor.NewLogAnchor().GetABI()

// DecodeRevert returns the name of the contract error that err carries, such
// as "LogAnchorStaleSize", "" when it carries none. It looks for the revert
// data that nodes attach to a failed eth_call or eth_estimateGas.
func DecodeRevert(err error) string {
	if e, _ := revertOf(err); e != nil {
		return e.Name
	}
	return ""
}

// describeRevert is DecodeRevert with the error's arguments, for people:
// "LogAnchorStaleSize(logId: 0x12.., currentSize: 9, size: 3)".
func describeRevert(err error) string {
	e, data := revertOf(err)
	if e == nil {
		return ""
	}
	values, uerr := e.Inputs.Unpack(data)
	if uerr != nil {
		return e.Name
	}
	args := make([]string, len(values))
	for i, v := range values {
		if b, ok := v.([32]byte); ok {
			v = "0x" + hex.EncodeToString(b[:])
		}
		args[i] = fmt.Sprintf("%s: %v", e.Inputs[i].Name, v)
	}
	return e.Name + "(" + strings.Join(args, ", ") + ")"
}

// revertOf finds the contract's declaration of the error in err, and its
// encoded arguments.
func revertOf(err error) (*abi.Error, []byte) {
	var data rpc.DataError
	if !errors.As(err, &data) {
		return nil, nil
	}
	text, _ := data.ErrorData().(string)
	raw, herr := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if herr != nil || len(raw) < 4 {
		return nil, nil
	}
	for _, e := range contractABI.Errors {
		if [4]byte(e.ID[:4]) == [4]byte(raw[:4]) {
			return &e, raw[4:]
		}
	}
	return nil, nil
}

// revertError shows the contract's error by name and keeps the node's, so that
// DecodeRevert works on whatever wraps it.
type revertError struct{ err error }

func (e revertError) Error() string { return describeRevert(e.err) }
func (e revertError) Unwrap() error { return e.err }

// translate turns an error of a call, an estimate or a send into one of
// package anchor. A revert is the contract's answer; everything else is an
// endpoint that did not give one.
func translate(err error) error {
	switch DecodeRevert(err) {
	case "":
		return fmt.Errorf("%w: %w", anchor.ErrPushback, err)
	case "RFC9162HashFailed":
		// Out of gas inside the verifier, which is no verdict on the proof.
		return fmt.Errorf("%w: %w", anchor.ErrPushback, revertError{err})
	case "LogAnchorConflictingRoot":
		return fmt.Errorf("%w: %w: %w", anchor.ErrRefused, anchor.ErrFork, revertError{err})
	default:
		return fmt.Errorf("%w: %w", anchor.ErrRefused, revertError{err})
	}
}
