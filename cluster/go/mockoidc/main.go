// Command mockoidc is an OpenID Connect provider for tests: discovery, keys, codes and signed tokens,
// with which people log in to an authenticating proxy.
//
// Each argument is a person as JSON ({"Subject", "Email", "Groups"}): the first login is that of the
// first one. It prints its issuer and its client in one line, and serves until it is killed.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/oauth2-proxy/mockoidc"
)

func main() {
	provider, err := mockoidc.Run()
	if err != nil {
		log.Fatal(err)
	}
	for _, given := range os.Args[1:] {
		person := &mockoidc.MockUser{EmailVerified: true}
		if err := json.Unmarshal([]byte(given), person); err != nil {
			log.Fatal(err)
		}
		provider.QueueUser(person)
	}
	config := provider.Config()
	told := map[string]string{
		"issuer": config.Issuer, "clientID": config.ClientID, "clientSecret": config.ClientSecret,
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
	select {}
}
