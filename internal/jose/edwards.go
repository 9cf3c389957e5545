package jose

import (
	"math/big"
	"slices"
)

// The field and curve of RFC 8032 section 5.1: p = 2^255-19, d = -121665/121666.
var (
	edwardsP = func() *big.Int {
		p := new(big.Int).Lsh(big.NewInt(1), 255)
		return p.Sub(p, big.NewInt(19))
	}()
	edwardsD = func() *big.Int {
		d := new(big.Int).ModInverse(big.NewInt(121666), edwardsP)
		d.Mul(d, big.NewInt(-121665))
		return d.Mod(d, edwardsP)
	}()
)

// smallOrderY holds the y coordinates of the eight points of order 1, 2, 4 and 8.
// Either x of each y has small order, so y decides.
var smallOrderY = func() []*big.Int {
	// y8 is the y of a point of order 8 (there are two, y8 and -y8).
	y8, _ := new(big.Int).SetString("2707385501144840649318225287225658788936804267575313519463743609750303402022", 10)
	return []*big.Int{
		big.NewInt(0), big.NewInt(1), new(big.Int).Sub(edwardsP, big.NewInt(1)),
		y8, new(big.Int).Sub(edwardsP, y8),
	}
}()

// checkEdwards accepts the canonical encoding (RFC 8032 section 5.1.3: y below p)
// of a point on the curve that has not small order. The curve equation is
// x^2 = (y^2-1)/(dy^2+1): x exists if and only if the product of the two is a
// square. x = 0 happens only at y = 1 and y = -1, which have small order, so the
// spare encoding of their sign needs no case of its own.
func checkEdwards(raw []byte) error {
	if len(raw) != 32 {
		return fail(CodeKey, "Ed25519 key is not 32 bytes")
	}
	be := slices.Clone(raw)
	slices.Reverse(be)
	be[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(be)
	if y.Cmp(edwardsP) >= 0 {
		return fail(CodeKey, "Ed25519 key is not canonically encoded")
	}
	for _, small := range smallOrderY {
		if y.Cmp(small) == 0 {
			return fail(CodeKey, "Ed25519 key has small order")
		}
	}
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, big.NewInt(1))
	v := y2.Mul(y2, edwardsD)
	v.Add(v, big.NewInt(1))
	u.Mul(u, v).Mod(u, edwardsP)
	if big.Jacobi(u, edwardsP) != 1 {
		return fail(CodeKey, "Ed25519 key is not on the curve")
	}
	return nil
}
