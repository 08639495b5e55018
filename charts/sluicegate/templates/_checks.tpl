{{/* What a JSON schema can't say: one line for each mistake, with the value and the way out. */}}
{{- define "sluicegate.mistakes" -}}
{{- include "sluicegate.mistakesOfSettings" . }}
{{- include "sluicegate.mistakesOfPlaces" . }}
{{- include "sluicegate.mistakesOfNotify" . }}
{{- end }}

{{/* A value as text: a whole number of a file is a float, which Go writes as 1e+06. */}}
{{- define "sluicegate.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The operator's settings by variable, as YAML: those of `settings`, then those of `extraSettings`. */}}
{{- define "sluicegate.settings" -}}
{{- $facts := .Files.Get "files/settings.json" | fromJson }}
{{- range $name, $value := .Values.settings }}
{{- $text := ternary "" (include "sluicegate.text" $value) (kindIs "invalid" $value) }}
{{- if ne $text "" }}
{{ get $facts.variables $name | default (printf "SLUICEGATE_%s" (snakecase $name | upper)) }}: {{ $text | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.extraSettings }}
{{ $name }}: {{ include "sluicegate.text" $value | quote }}
{{- end }}
{{- end }}

{{- define "sluicegate.mistakesOfSettings" -}}
{{- $facts := .Files.Get "files/settings.json" | fromJson }}
{{- $byCase := dict }}
{{- $names := dict }}
{{- range $name, $variable := $facts.variables }}
{{- $_ := set $byCase (lower $name) $name }}
{{- $_ := set $names $variable $name }}
{{- end }}
{{- $instead := dict }}
{{- range $name, $it := $facts.byTheChart }}{{ $_ := set $instead $it.variable $it.instead }}{{ end }}
{{- range $name, $value := .Values.settings }}
{{- if hasKey $facts.byTheChart $name }}
- settings.{{ $name }}: {{ (get $facts.byTheChart $name).instead }}
{{- else if not (hasKey $facts.variables $name) }}
{{- $meant := get $byCase (regexReplaceAll "[-_]" (lower $name) "" | trimPrefix "sluicegate") }}
- settings.{{ $name }}: is no setting{{ if $meant }}: write settings.{{ $meant }}{{ else }} (docs/settings.md): correct its name or remove it{{ end }}
{{- end }}
{{- end }}
{{- range $variable, $value := .Values.extraSettings }}
{{- if hasKey $instead $variable }}
- extraSettings.{{ $variable }}: {{ get $instead $variable }}
{{- else if hasKey $names $variable }}
{{- if hasKey $.Values.settings (get $names $variable) }}
- extraSettings.{{ $variable }}: settings.{{ get $names $variable }} sets it too: remove one of them
{{- end }}
{{- else if hasPrefix "SLUICEGATE_" $variable }}
{{- $meant := get $byCase (regexReplaceAll "[-_]" (lower $variable) "" | trimPrefix "sluicegate") }}
- extraSettings.{{ $variable }}: is no setting{{ if $meant }}: write settings.{{ $meant }}{{ else }} (docs/settings.md): correct its name or remove it{{ end }}
{{- end }}
{{- end }}
{{- $numbers := dict }}
{{- range $variable, $bounds := $facts.numbers }}{{ $_ := set $numbers $variable (float64 $bounds.default) }}{{ end }}
{{- range $variable, $text := include "sluicegate.settings" . | fromYaml }}
{{- if hasKey $facts.numbers $variable }}
{{- $bounds := get $facts.numbers $variable }}
{{- $number := float64 $text }}
{{- $_ := set $numbers $variable $number }}
{{- if or (lt $number (float64 $bounds.minimum)) (gt $number (float64 $bounds.maximum)) }}
- {{ $variable }}: is {{ $text }}: set it to a number from {{ $bounds.minimum }} to {{ int64 $bounds.maximum }}
{{- end }}
{{- end }}
{{- end }}
{{- $retry := get $numbers "SLUICEGATE_LEASE_RETRY_SECONDS" }}
{{- $renew := get $numbers "SLUICEGATE_LEASE_RENEW_SECONDS" }}
{{- $duration := get $numbers "SLUICEGATE_LEASE_DURATION_SECONDS" }}
{{- if or (le $renew (addf $retry 3)) (gt $renew (subf $duration 5)) }}
- settings.leaseRenewSeconds: is {{ $renew }}: set it above leaseRetrySeconds + 3 ({{ addf $retry 3 }}) and at least 5 s below leaseDurationSeconds ({{ $duration }}), the margin that each write needs
{{- end }}
{{- $rate := get $numbers "SLUICEGATE_WRITE_RATE" }}
{{- $burst := get $numbers "SLUICEGATE_WRITE_BURST" }}
{{- if lt $burst $rate }}
- settings.writeBurst: is {{ $burst }}: set it to at least writeRate ({{ $rate }})
{{- end }}
{{- $each := get $numbers "SLUICEGATE_MAX_RETRAININGS_PER_NAMESPACE" }}
{{- $all := get $numbers "SLUICEGATE_MAX_CONCURRENT_RETRAININGS" }}
{{- if gt $each $all }}
- settings.maxRetrainingsPerNamespace: is {{ $each }}: set it to at most maxConcurrentRetrainings ({{ $all }})
{{- end }}
{{- $scrape := get $numbers "SLUICEGATE_SCRAPE_INTERVAL_SECONDS" }}
{{- if and .Values.podMonitor.enabled .Values.podMonitor.interval }}
{{- $seconds := include "sluicegate.seconds" .Values.podMonitor.interval | float64 }}
{{- if ne $seconds $scrape }}
- podMonitor.interval: is {{ .Values.podMonitor.interval }}, and settings.scrapeIntervalSeconds is {{ $scrape }}: leave podMonitor.interval empty, and it follows the setting
{{- end }}
{{- end }}
{{- end }}

{{/* Seconds of a duration such as 500ms, 15s or 1m. */}}
{{- define "sluicegate.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | float64 }}
{{- if hasSuffix "ms" . }}{{ divf $number 1000 }}{{ else if hasSuffix "m" . }}{{ mulf $number 60 }}{{ else }}{{ $number }}{{ end }}
{{- end }}

{{/* The scrape interval of products' pods: that of the setting, of which both have one. */}}
{{- define "sluicegate.scrapeInterval" -}}
{{- $facts := .Files.Get "files/settings.json" | fromJson }}
{{- $variable := "SLUICEGATE_SCRAPE_INTERVAL_SECONDS" }}
{{- $given := get (include "sluicegate.settings" . | fromYaml) $variable }}
{{- $seconds := $given | default (get $facts.numbers $variable).default | float64 }}
{{- if .Values.podMonitor.interval }}{{ .Values.podMonitor.interval }}{{ else if eq (floor $seconds) $seconds }}{{ int64 $seconds }}s{{ else }}{{ mulf $seconds 1000 | int64 }}ms{{ end }}
{{- end }}

{{- define "sluicegate.mistakesOfPlaces" -}}
{{- range .Values.watchNamespaces }}
{{- if has . $.Values.excludedNamespaces }}
- excludedNamespaces: has {{ . }}, which watchNamespaces has too: remove it from one of them
{{- end }}
{{- end }}
{{- $labels := list (list "commonLabels" .Values.commonLabels) (list "podLabels" .Values.podLabels) }}
{{- range $program := list "operator" "web" "notify" "archive" }}
{{- $labels = append $labels (list (printf "%s.podLabels" $program) ((get $.Values $program).podLabels | default dict)) }}
{{- end }}
{{- range $place := $labels }}
{{- range $key, $value := index $place 1 }}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (eq $key "helm.sh/chart") }}
- {{ index $place 0 }}: has {{ $key }}, which the chart sets, and by which Services select pods: remove it
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $from := dict "caBundle" .Values.caBundle "prometheus.ca" .Values.prometheus.ca }}
{{- if and $from.configMapName $from.secretName }}
- {{ $name }}: name one of configMapName and secretName
{{- end }}
{{- end }}
{{- $shared := include "sluicegate.sharedEnv" (list . "operator") | fromYamlArray }}
{{- $given := include "sluicegate.settings" . | fromYaml }}
{{- range $shared }}
{{- if hasKey $given .name }}
- {{ .name }}: is set by settings or extraSettings, and by prometheus or caBundle: remove one of them
{{- end }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- $policy := .Values.networkPolicy }}
{{- with .Values.settings.prometheusUrl }}
{{- $port := include "sluicegate.port" . | int }}
{{- if and (not $.Values.prometheus.proxyUrl) (not (include "sluicegate.hasPort" (list $port (concat $policy.prometheusPorts $policy.apiServerPorts)))) }}
- networkPolicy.prometheusPorts: lacks {{ $port }} of settings.prometheusUrl: add it; a policy sees the port of the pods, which a Service may map
{{- end }}
{{- end }}
{{- with .Values.tracing.endpoint }}
{{- $port := include "sluicegate.port" . | int }}
{{- if not (include "sluicegate.hasPort" (list $port (concat $policy.tracingPorts $policy.apiServerPorts))) }}
- networkPolicy.tracingPorts: lacks {{ $port }} of tracing.endpoint: add it
{{- end }}
{{- end }}
{{- if .Values.notify.enabled }}
{{- range $name, $sink := .Values.notify.config.sinks | default dict }}
{{- with $sink.url }}
{{- $port := include "sluicegate.port" . | int }}
{{- if not (include "sluicegate.hasPort" (list $port (concat $.Values.notify.ports $policy.apiServerPorts))) }}
- notify.ports: lacks {{ $port }} of the sink {{ $name }}, which the NetworkPolicy would block: add it
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a list of numbers has a port; numbers of a file are floats. */}}
{{- define "sluicegate.hasPort" -}}
{{- $port := index . 0 }}
{{- range index . 1 }}{{ if eq (int .) $port }}true{{ end }}{{ end }}
{{- end }}

{{- define "sluicegate.mistakesOfNotify" -}}
{{- $config := .Values.notify.config }}
{{- $sinks := $config.sinks | default dict }}
{{- range $at, $route := $config.routes }}
{{- range $route.to }}
{{- if not (hasKey $sinks .) }}
- notify.config.routes[{{ $at }}].to: names {{ . }}, which is no sink: one of {{ keys $sinks | sortAlpha | join ", " }}
{{- end }}
{{- end }}
{{- end }}
{{- $digests := list }}
{{- range $at, $digest := $config.digests }}
{{- $name := $digest.name | default "daily" }}
{{- if has $name $digests }}
- notify.config.digests[{{ $at }}].name: is {{ $name }}, as that of another digest: give each a name of its own
{{- end }}
{{- $digests = append $digests $name }}
{{- range $digest.to }}
{{- if not (hasKey $sinks .) }}
- notify.config.digests[{{ $at }}].to: names {{ . }}, which is no sink: one of {{ keys $sinks | sortAlpha | join ", " }}
{{- else if eq (get $sinks .).kind "Alertmanager" }}
- notify.config.digests[{{ $at }}].to: names {{ . }}: an Alertmanager receives no digest
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $sink := $sinks }}
{{- if and (ne $sink.kind "Apprise") (eq (empty $sink.url) (empty $sink.urlFile)) }}
- notify.config.sinks.{{ $name }}: needs one of url and urlFile
{{- end }}
{{- end }}
{{- end }}
