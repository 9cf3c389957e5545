package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Described is New that also gives the description that the handler serves.
func Described(c Config) (http.Handler, *huma.OpenAPI, error) {
	s, engine, err := build(c)
	if err != nil {
		return nil, nil, err
	}
	return engine, s.huma.OpenAPI(), s.describe()
}
