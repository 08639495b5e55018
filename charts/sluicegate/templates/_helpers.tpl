{{- define "sluicegate.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "sluicegate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "sluicegate.name" .) .Values.serviceAccount.name }}{{ else }}{{ required "serviceAccount.name: name an existing account, or set serviceAccount.create" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* Labels by which Services, budgets and policies select the pods of one program: (list root component). */}}
{{- define "sluicegate.selectorOf" -}}
app.kubernetes.io/name: sluicegate
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "sluicegate.labelsOf" -}}
{{- $root := index . 0 }}
{{- include "sluicegate.selectorOf" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sluicegate.selector" -}}{{ include "sluicegate.selectorOf" (list . "operator") }}{{- end }}
{{- define "sluicegate.labels" -}}{{ include "sluicegate.labelsOf" (list . "operator") }}{{- end }}

{{- define "sluicegate.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* What the operator may do with its products' objects: the same rules cluster-wide or in each watched namespace. */}}
{{- define "sluicegate.productRules" -}}
- apiGroups: [sluicegate.dev]
  resources: [dataproducts]
  verbs: [get, list, watch]
- apiGroups: [sluicegate.dev]
  resources: [dataproducts/status]
  verbs: [get, patch]
- apiGroups: [sluicegate.dev]
  resources: [dataproductreviews]
  verbs: [get, list, create, patch, delete]
- apiGroups: [sluicegate.dev]
  resources: [dataproductreviews/status]
  verbs: [get, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
{{- if .Values.settings.tenantAccount }}
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [{{ .Values.settings.tenantAccount }}]
  verbs: [impersonate]
{{- else }}
{{ include "sluicegate.childRules" . }}
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Writes of the objects of products, by the operator or by an account of each namespace. */}}
{{- define "sluicegate.childRules" -}}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [create, patch, delete]
{{- end }}

{{/* What a binding does with a violation: Audit warns the sender and marks the audit event, Deny refuses. */}}
{{- define "sluicegate.actions" -}}
{{ if eq . "Deny" }}[Deny, Audit]{{ else }}[Warn, Audit]{{ end }}
{{- end }}

{{/* The namespaces whose products this release serves, as a policy's matchConstraints have it. */}}
{{- define "sluicegate.watchedNamespaces" -}}
{{- if or .Values.watchNamespaces .Values.excludedNamespaces -}}
namespaceSelector:
  matchExpressions:
  {{- with .Values.watchNamespaces }}
  - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
  {{- with .Values.excludedNamespaces }}
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ toJson . }}}
  {{- end }}
{{- end }}
{{- end }}

{{/* Metadata by which garbage collectors and GitOps tools delete an object: only for those who may delete it. */}}
{{- define "sluicegate.metadataOfDeleters" -}}
- expression: >-
    oldObject == null || (object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])
    && object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([]))
    || variables.deleter.check('delete').allowed()
  reason: Forbidden
  messageExpression: >-
    'metadata.ownerReferences and metadata.finalizers decide when the object is deleted, so they are reserved for those'
    + ' who may delete it; you are ' + request.userInfo.username
- expression: >-
    oldObject == null || ([[object.metadata.?labels.orValue({}), oldObject.metadata.?labels.orValue({})],
    [object.metadata.?annotations.orValue({}), oldObject.metadata.?annotations.orValue({})]].all(pair,
    pair[0].all(key, !key.matches('^(app[.]kubernetes[.]io/(managed-by|instance)$|(kustomize|helm)[.]toolkit[.]fluxcd[.]io/|argocd[.]argoproj[.]io/|meta[.]helm[.]sh/)') || (key in pair[1] && pair[0][key] == pair[1][key]))
    && pair[1].all(key, !key.matches('^(app[.]kubernetes[.]io/(managed-by|instance)$|(kustomize|helm)[.]toolkit[.]fluxcd[.]io/|argocd[.]argoproj[.]io/|meta[.]helm[.]sh/)') || key in pair[0])))
    || variables.deleter.check('delete').allowed()
  reason: Forbidden
  messageExpression: >-
    'labels and annotations of Helm, Flux and Argo CD decide which tool may delete the object, so they are reserved for'
    + ' those who may delete it; you are ' + request.userInfo.username
{{- end }}
