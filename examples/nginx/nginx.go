// Package nginx is the example configuration of an nginx that asks the registry
// before it lets a request through; writ demo runs it.
package nginx

import _ "embed"

// Conf is writ.conf. It says what to replace in it.
//
//go:embed writ.conf
var Conf string
