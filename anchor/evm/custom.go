package evm

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/writ-registry/writ/anchor"
)

// CustomNetwork describes the chain behind an RPC URL that no network file
// names: its id is asked for, an anchor there is settled at the tag "safe", and
// nothing vouches for its independence, so it counts as the operator's own.
func CustomNetwork(ctx context.Context, url string) (Network, error) {
	client, err := ethclient.DialContext(ctx, url)
	if err != nil {
		return Network{}, fmt.Errorf("dial %s: %w", url, translate(err))
	}
	defer client.Close()
	id, err := client.ChainID(ctx)
	if err != nil {
		return Network{}, fmt.Errorf("read chain id of %s: %w", url, translate(err))
	}
	gwei := big.NewInt(1e9)
	return Network{
		Name: "custom", ChainID: id.Uint64(), RPC: url, Finality: anchor.FinalityRule{Level: anchor.Safe}, OperatorsOwn: true,
		Fees: FeePolicy{MaxFee: new(big.Int).Mul(gwei, big.NewInt(100)), MaxTip: new(big.Int).Mul(gwei, big.NewInt(10))},
	}, nil
}
