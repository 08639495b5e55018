// The controllers and webhooks of Kubeflow Trainer and of JobSet, which Trainer needs, in one process.
//
// Their own programs read certificates from a fixed folder and replace them; here the folder is a
// flag, and what starts the program makes the certificates.
package main

import (
	"flag"
	"os"

	trainer "github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1"
	"github.com/kubeflow/trainer/v2/pkg/controller"
	runtimes "github.com/kubeflow/trainer/v2/pkg/runtime/core"
	"github.com/kubeflow/trainer/v2/pkg/webhooks"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlpkg "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	jobset "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	jobsetcontrollers "sigs.k8s.io/jobset/pkg/controllers"
	jobsetwebhooks "sigs.k8s.io/jobset/pkg/webhooks"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

func main() {
	port := flag.Int("webhook-port", 9443, "port of the webhooks, on 127.0.0.1")
	certificates := flag.String("webhook-certificates", "", "folder with tls.crt and tls.key")
	probes := flag.String("health-probe-bind-address", ":8081", "address of /readyz")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*port, *certificates, *probes); err != nil {
		ctrl.Log.Error(err, "the manager has ended")
		os.Exit(1)
	}
}

func run(port int, certificates, probes string) error {
	kinds := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(kinds))
	utilruntime.Must(trainer.AddToScheme(kinds))
	utilruntime.Must(jobset.AddToScheme(kinds))
	utilruntime.Must(scheduling.AddToScheme(kinds))
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:  kinds,
		Client:  client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(
			webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates},
		),
		HealthProbeBindAddress: probes,
	})
	if err != nil {
		return err
	}
	context := ctrl.SetupSignalHandler()
	if err := jobsetcontrollers.SetupJobSetIndexes(context, manager.GetFieldIndexer()); err != nil {
		return err
	}
	if err := jobsetcontrollers.SetupPodIndexes(context, manager.GetFieldIndexer()); err != nil {
		return err
	}
	jobsets := jobsetcontrollers.NewJobSetReconciler(
		manager.GetClient(), manager.GetScheme(), manager.GetEventRecorderFor("jobset"),
	)
	if err := jobsets.SetupWithManager(manager); err != nil {
		return err
	}
	jobsetWebhook, err := jobsetwebhooks.NewJobSetWebhook(manager.GetClient())
	if err != nil {
		return err
	}
	if err := jobsetWebhook.SetupWebhookWithManager(manager); err != nil {
		return err
	}
	supported, err := runtimes.New(context, manager.GetClient(), manager.GetFieldIndexer())
	if err != nil {
		return err
	}
	if _, err := controller.SetupControllers(manager, supported, ctrlpkg.Options{}); err != nil {
		return err
	}
	if _, err := webhooks.Setup(manager, supported); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("readyz", manager.GetWebhookServer().StartedChecker()); err != nil {
		return err
	}
	if err := manager.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	return manager.Start(context)
}
