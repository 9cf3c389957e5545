package hotstate

import "crypto/tls"

const Patience = patience

// OpenRedisTLS trusts a test's certificate.
func OpenRedisTLS(url, prefix string, c *tls.Config) (*Redis, error) {
	return openRedis(url, prefix, c)
}

// SmallMemory holds no more than limit proofs.
func SmallMemory(limit int) *Memory { return &Memory{limit: limit} }

// Len is how many proofs are remembered.
func (m *Memory) Len() int { return len(m.spent) }
