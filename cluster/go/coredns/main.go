// Command coredns answers the cluster's names with the plugins that this takes: those of the local
// node's Corefile, and those of the Corefile that kubeadm writes.
//
// The whole program carries some fifty plugins, several of which bring a cloud's client library;
// leaving them out makes the build four times shorter.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() {
	// The order in which plugins see a query, which is the whole program's.
	dnsserver.Directives = []string{
		"reload", "bind", "ready", "health", "prometheus", "errors", "cache", "loadbalance",
		"kubernetes", "loop", "forward",
	}
	coremain.Run()
}
