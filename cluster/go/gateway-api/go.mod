// Only for the custom resource definitions that the module ships; nothing is compiled.
module sluicegate.dev/cluster/gateway-api

go 1.26.0

require sigs.k8s.io/gateway-api v1.6.3
