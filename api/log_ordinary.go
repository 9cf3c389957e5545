//go:build !conformance

package api

import "github.com/gin-gonic/gin"

// conformance is empty: a registry takes events only, no raw entries.
type conformance struct{}

func (conformance) routes(*server, *gin.Engine) {}
