// Command kube is every Kubernetes program in one binary: which one it is, its name says.
//
// One link instead of seven: the programs share nearly all of their code, and linking is what
// takes the time. The cluster starts it through links named kube-apiserver, kubelet and so on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Client authentication, the log formats and the version metric are registered by import, as
	// the upstream main packages do.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "kubectl" {
		// kubectl builds its commands after it knows the verbosity, and reports its own errors.
		logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) //nolint:errcheck // a bad value is reported by the flag's parser
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
		return
	}
	program, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: %q is not a program in here; link it to one of kubectl, %s\n", name, names())
		os.Exit(2)
	}
	if err := findContainers(); err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(2)
	}
	os.Exit(cli.Run(program()))
}

// findContainers tells the cAdvisor inside the kubelet where containerd is. It looks at the usual
// place only, and no flag of the kubelet says otherwise; without it containers have no names.
func findContainers() error {
	address := os.Getenv("CONTAINERD_ADDRESS")
	if address == "" || flag.Lookup("containerd") == nil {
		return nil
	}
	return flag.Set("containerd", address)
}

func names() string {
	all := make([]string, 0, len(programs))
	for name := range programs {
		all = append(all, name)
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}
