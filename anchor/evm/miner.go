package evm

import (
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
)

// miner makes a block whenever the pool holds something that can go into one.
//
// geth has such a loop (catalyst.RegisterSimulatedBeaconAPIs), but it goes on
// while the node closes, and a block begun then ends the process with a nil
// dereference. This one is over before the node begins to close.
type miner struct {
	quit chan struct{}
	done sync.WaitGroup
}

func startMiner(backend *eth.Ethereum, beacon *catalyst.SimulatedBeacon) *miner {
	m := &miner{quit: make(chan struct{})}
	wake := make(chan struct{}, 1)
	wake <- struct{}{} // for what the pool holds already
	m.done.Go(func() { m.listen(backend, wake) })
	m.done.Go(func() { m.work(backend, beacon, wake) })
	return m
}

// stop returns when no block is being made and none will be.
func (m *miner) stop() {
	close(m.quit)
	m.done.Wait()
}

// listen turns the pool's events into wake-ups. It is apart from work because
// the pool waits for its listeners, and work waits for the pool.
func (m *miner) listen(backend *eth.Ethereum, wake chan<- struct{}) {
	events := make(chan core.NewTxsEvent)
	sub := backend.TxPool().SubscribeTransactions(events, true)
	defer sub.Unsubscribe()
	for {
		select {
		case <-m.quit:
			return
		case <-sub.Err(): //nolint:errcheck // it only says that the pool has ended
			return
		case <-events:
		}
		select {
		case wake <- struct{}{}:
		default: // work is behind and will see it
		}
	}
}

func (m *miner) work(backend *eth.Ethereum, beacon *catalyst.SimulatedBeacon, wake <-chan struct{}) {
	// A transaction that can not go into this block may go into a later one;
	// looking once a second keeps an unfit one from turning into a busy loop.
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-wake:
		case <-retry.C:
		}
		for m.pending(backend) {
			block := backend.BlockChain().GetBlockByHash(beacon.Commit())
			if block == nil || len(block.Transactions()) == 0 {
				break
			}
		}
	}
}

// pending reports whether a block is to be made now.
func (m *miner) pending(backend *eth.Ethereum) bool {
	select {
	case <-m.quit:
		return false
	default:
	}
	if err := backend.TxPool().Sync(); err != nil { // count after the last block, not before it
		return false
	}
	executable, _ := backend.TxPool().Stats()
	return executable > 0
}
