package cedar

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/cedar-policy/cedar-go/types"
)

// nothing stands for what Cedar has no value for: no operator takes it.
var nothing = types.NewRecord(types.RecordMap{"__cedar_has_no_such_value": types.True})

// record turns a JSON object into a Cedar record. "" is the empty one.
func record(object []byte) (types.RecordMap, error) {
	out := types.RecordMap{}
	if len(bytes.TrimSpace(object)) == 0 {
		return out, nil
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON object")
	}
	for name, m := range v {
		out[types.String(name)] = value(m)
	}
	return out, nil
}

func value(v any) types.Value {
	switch v := v.(type) {
	case bool:
		return types.Boolean(v)
	case string:
		return types.String(v)
	case json.Number:
		return number(v.String())
	case map[string]any:
		m := make(types.RecordMap, len(v))
		for name, x := range v {
			m[types.String(name)] = value(x)
		}
		return types.NewRecord(m)
	case []any:
		list := make([]types.Value, len(v))
		for i, x := range v {
			list[i] = value(x)
			if i > 0 && kindOf(x) != kindOf(v[0]) || x == nil {
				return nothing
			}
		}
		return types.NewSet(list...)
	}
	return nothing
}

func kindOf(v any) int {
	switch v.(type) {
	case bool:
		return 1
	case string:
		return 2
	case json.Number:
		return 3
	case map[string]any:
		return 4
	case []any:
		return 5
	}
	return 0
}

func number(text string) types.Value {
	if n, ok := whole(text); ok {
		return types.Long(n)
	}
	if d, ok := decimal(text); ok {
		return d
	}
	return nothing
}

// whole is the number if it is a whole one; 5.0 and 5e0 are 5.
func whole(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// decimal is the number if it has at most four places.
func decimal(text string) (types.Decimal, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return types.Decimal{}, false
	}
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	if !bytes.ContainsRune([]byte(plain), '.') {
		plain += ".0"
	}
	d, err := types.ParseDecimal(plain)
	return d, err == nil
}

// decimals are the members of an object as decimals. What is no number is there as
// nothing: a limit on an amount is not escaped by writing it as a string.
func decimals(object types.RecordMap) types.Record {
	out := make(types.RecordMap, len(object))
	for name, v := range object {
		out[name] = nothing
		switch v := v.(type) {
		case types.Long:
			if d, ok := decimal(strconv.FormatInt(int64(v), 10)); ok {
				out[name] = d
			}
		case types.Decimal:
			out[name] = v
		}
	}
	return types.NewRecord(out)
}
