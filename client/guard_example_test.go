package client_test

import (
	"log"
	"net/http"

	"github.com/writ-registry/writ/client"
)

// A tool that agents use only with the registry's permission, each act once.
func ExampleGuard() {
	registry, err := client.New("https://writ.example", "writ_pep_...", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := client.NewGuard(client.GuardConfig{Client: registry, Routes: client.Routes{Audience: "https://erp.example", Routes: []client.Route{
		{Method: "GET", Path: "/invoices/{id}", Action: "read:invoices", Resource: "{id}"},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	tool := http.FileServer(http.Dir("invoices"))
	_ = http.Server{Addr: ":8443", Handler: guard.Handler(tool)}
	// Output:
}
