{{/*
The template of the pods of one program, as YAML. Takes a dict: root, component (operator, web, notify or
archive), account, container (what only this program has: name, args, env, ports, probes, volumeMounts),
volumes, and fields of the pod's spec. Values of the whole chart apply to each program; those of the
program's own section are added to lists and maps, and replace the rest.
*/}}
{{- define "sluicegate.pod" -}}
{{- $values := .root.Values }}
{{- $own := get $values .component | default dict }}
{{- $selector := include "sluicegate.selectorOf" (list .root .component) | fromYaml }}
{{- $labels := mergeOverwrite (dict) $values.commonLabels $values.podLabels ($own.podLabels | default dict) $selector }}
{{- $annotations := mergeOverwrite (dict) (.annotations | default dict) $values.podAnnotations ($own.podAnnotations | default dict) }}
{{- $env := concat (.container.env | default list) (include "sluicegate.sharedEnv" (list .root .component) | fromYamlArray) $values.env ($own.env | default list) }}
{{- $envFrom := concat $values.envFrom ($own.envFrom | default list) }}
{{- $tmp := list (dict "name" "tmp" "emptyDir" dict) }}
{{- $shared := include "sluicegate.sharedVolumes" (list .root .component) | fromYamlArray }}
{{- $mounts := list (dict "name" "tmp" "mountPath" "/tmp") }}
{{- $volumes := concat $tmp (.volumes | default list) }}
{{- range $shared }}
{{- $volumes = append $volumes (omit . "mountPath") }}
{{- $mounts = append $mounts (dict "name" .name "mountPath" .mountPath "readOnly" true) }}
{{- end }}
{{- $volumes = concat $volumes $values.volumes ($own.volumes | default list) }}
{{- $mounts = concat $mounts (.container.volumeMounts | default list) $values.volumeMounts ($own.volumeMounts | default list) }}
{{- include "sluicegate.refuseTwice" (list .component "env" "name" $env) }}
{{- include "sluicegate.refuseTwice" (list .component "volumes" "name" $volumes) }}
{{- include "sluicegate.refuseTwice" (list .component "volumeMounts" "mountPath" $mounts) }}
{{- $args := concat (.container.args | default list) ($own.extraArgs | default list) }}
{{- $security := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
{{- $security = mergeOverwrite $security (deepCopy $values.securityContext) (deepCopy ($own.securityContext | default dict)) }}
{{- $podSecurity := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- if not $values.randomIds }}
{{- $podSecurity = merge $podSecurity (dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532) }}
{{- end }}
{{- $podSecurity = mergeOverwrite $podSecurity (deepCopy $values.podSecurityContext) (deepCopy ($own.podSecurityContext | default dict)) }}
{{- $container := merge (dict "args" $args "env" $env "volumeMounts" $mounts "securityContext" $security) .container }}
{{- $_ := set $container "image" (include "sluicegate.image" .root) }}
{{- $_ := set $container "imagePullPolicy" $values.image.pullPolicy }}
{{- if not $env }}{{ $_ := unset $container "env" }}{{ end }}
{{- with $envFrom }}{{ $_ := set $container "envFrom" . }}{{ end }}
{{- $spec := dict "serviceAccountName" .account "enableServiceLinks" false "securityContext" $podSecurity }}
{{- $spec = merge $spec (.spec | default dict) (dict "containers" (list $container) "volumes" $volumes) }}
{{- range $key := list "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with get $own $key | default (get $values $key) }}{{ $_ := set $spec $key . }}{{ end }}
{{- end }}
{{- $spread := list }}
{{- range $own.topologySpreadConstraints | default $values.topologySpreadConstraints }}
{{- $spread = append $spread (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" $selector))) }}
{{- end }}
{{- with $spread }}{{ $_ := set $spec "topologySpreadConstraints" . }}{{ end }}
metadata:
  labels: {{- toYaml $labels | nindent 4 }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec: {{- toYaml $spec | nindent 2 }}
{{- end }}

{{/* Fails if a list of a program has the same key twice: the API server refuses it, or the last wins. */}}
{{- define "sluicegate.refuseTwice" -}}
{{- $seen := list }}
{{- $key := index . 2 }}
{{- $place := printf "%s.%s" (index . 0) (index . 1) }}
{{- range index . 3 }}
{{- $one := get . $key }}
{{- if has $one $seen }}
{{- fail (printf "%s: %s is there twice: remove one of them, of values, of %s, or of the value of the chart that sets it" $place $one $place) }}
{{- end }}
{{- $seen = append $seen $one }}
{{- end }}
{{- end }}

{{/* Variables of proxy, CA and Prometheus. The API server is never reached through the proxy. */}}
{{- define "sluicegate.sharedEnv" -}}
{{- $values := (index . 0).Values }}
{{- with $values.proxy.https }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
{{- end }}
{{- with $values.proxy.http }}
- {name: HTTP_PROXY, value: {{ . | quote }}}
{{- end }}
{{- if or $values.proxy.https $values.proxy.http }}
- name: NO_PROXY
  value: {{ list "$(KUBERNETES_SERVICE_HOST)" "localhost" "127.0.0.1" ".svc" ".cluster.local" $values.proxy.noProxy | compact | join "," | quote }}
{{- end }}
{{- if or $values.caBundle.configMapName $values.caBundle.secretName }}
{{- range $name := list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}
- {name: {{ $name }}, value: /etc/sluicegate/ca/{{ $values.caBundle.key }}}
{{- end }}
{{- end }}
{{- if and (has (index . 1) (list "operator" "notify")) (include "sluicegate.tlsSecret" .) }}
- {name: SLUICEGATE_TLS_CERT_FILE, value: /etc/sluicegate/tls/tls.crt}
- {name: SLUICEGATE_TLS_PRIVATE_KEY_FILE, value: /etc/sluicegate/tls/tls.key}
{{- end }}
{{- if eq (index . 1) "operator" }}
{{- $prometheus := $values.prometheus }}
{{- if or $prometheus.ca.configMapName $prometheus.ca.secretName }}
- {name: SLUICEGATE_PROMETHEUS_CA_FILE, value: /etc/sluicegate/prometheus/ca/{{ $prometheus.ca.key }}}
{{- else if or $values.caBundle.configMapName $values.caBundle.secretName }}
- {name: SLUICEGATE_PROMETHEUS_CA_FILE, value: /etc/sluicegate/ca/{{ $values.caBundle.key }}}
{{- end }}
{{- if $prometheus.token.secretName }}
- {name: SLUICEGATE_PROMETHEUS_TOKEN_FILE, value: /etc/sluicegate/prometheus/token/{{ $prometheus.token.key }}}
{{- end }}
{{- if $prometheus.headers.secretName }}
- {name: SLUICEGATE_PROMETHEUS_HEADERS_FILE, value: /etc/sluicegate/prometheus/headers/{{ $prometheus.headers.key }}}
{{- end }}
{{- with $prometheus.tenant }}
- {name: SLUICEGATE_PROMETHEUS_TENANT, value: {{ . | quote }}}
{{- end }}
{{- with $prometheus.proxyUrl }}
- {name: SLUICEGATE_PROMETHEUS_PROXY_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Volumes of these, each with its mountPath. */}}
{{- define "sluicegate.sharedVolumes" -}}
{{- $values := (index . 0).Values }}
{{- include "sluicegate.volumeOf" (list "ca-bundle" "/etc/sluicegate/ca" $values.caBundle) }}
{{- with include "sluicegate.tlsSecret" . }}
- name: tls
  mountPath: /etc/sluicegate/tls
  secret: {secretName: {{ . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}], defaultMode: 0440}
{{- end }}
{{- if eq (index . 1) "operator" }}
{{- range $name := list "ca" "token" "headers" }}
{{- include "sluicegate.volumeOf" (list (printf "prometheus-%s" $name) (printf "/etc/sluicegate/prometheus/%s" $name) (get $values.prometheus $name)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sluicegate.volumeOf" -}}
{{- $from := index . 2 }}
{{- $items := list (dict "key" $from.key "path" $from.key) }}
{{- if $from.configMapName }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
  configMap: {name: {{ $from.configMapName }}, items: {{ toJson $items }}}
{{- else if $from.secretName }}
- name: {{ index . 0 }}
  mountPath: {{ index . 1 }}
  secret: {secretName: {{ $from.secretName }}, items: {{ toJson $items }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* The Secret of type kubernetes.io/tls by which a program serves HTTPS, empty for HTTP: (list root component). */}}
{{- define "sluicegate.tlsSecret" -}}
{{- dig "tls" "secretName" "" (get (index . 0).Values (index . 1) | default dict) }}
{{- end }}

{{/* The rest of a probe's httpGet; the kubelet doesn't verify the certificate. */}}
{{- define "sluicegate.probeScheme" -}}
{{- if include "sluicegate.tlsSecret" . }}, scheme: HTTPS{{ end }}
{{- end }}

{{/* The rest of a Service's port. */}}
{{- define "sluicegate.appProtocol" -}}
{{- if include "sluicegate.tlsSecret" . }}, appProtocol: https{{ end }}
{{- end }}

{{/* How Prometheus scrapes a program with TLS: (list root component name). */}}
{{- define "sluicegate.scrapeOverTls" -}}
{{- $root := index . 0 }}
{{- with include "sluicegate.tlsSecret" . -}}
scheme: https
tlsConfig:
  {{- if $root.Values.serviceMonitor.tlsConfig }}
  {{- toYaml $root.Values.serviceMonitor.tlsConfig | nindent 2 }}
  {{- else }}
  ca: {secret: {name: {{ . }}, key: ca.crt}}
  serverName: {{ index $ 2 }}-metrics.{{ $root.Release.Namespace }}.svc
  {{- end }}
{{- end }}
{{- end }}

{{- define "sluicegate.budget" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ index . 2 }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "sluicegate.labelsOf" (list $root $component) | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{- include "sluicegate.selectorOf" (list $root $component) | nindent 6 }}
{{- end }}

{{/* The port of an address: its own, or that of its scheme. */}}
{{- define "sluicegate.port" -}}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $port | default (ternary "80" "443" (eq (lower $url.scheme) "http")) }}
{{- end }}

{{/* Ports of proxies, for policies of egress. */}}
{{- define "sluicegate.proxyPorts" -}}
{{- $ports := list }}
{{- range list .Values.proxy.https .Values.proxy.http .Values.prometheus.proxyUrl | compact }}
{{- $ports = append $ports (include "sluicegate.port" . | int) }}
{{- end }}
{{- toJson ($ports | uniq) }}
{{- end }}
