{{/* A release may have dots and begin with a digit, a Service may not. */}}
{{- define "ringback.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ fail (printf "release %s: its name has to begin with a letter, as that of a Service" .Release.Name) }}{{ end }}
{{- $name }}
{{- end }}

{{/* The chart's file of that name, a link in the repository, as in (list . "alerts.yml"). */}}
{{- define "ringback.file" -}}
{{- $text := (index . 0).Files.Get (printf "files/%s" (index . 1)) }}
{{- if not (contains "\n" $text) }}{{ fail (printf "files/%s of the chart is empty or only names a link: copy the file of that name from the repository's folder deploy to there, or check out with git's core.symlinks on" (index . 1)) }}{{ end }}
{{- $text }}
{{- end }}

{{- define "ringback.selector" -}}
app.kubernetes.io/name: ringback
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "ringback.labels" -}}
{{ include "ringback.selector" . }}
{{- with .Values.image.tag }}
app.kubernetes.io/version: {{ . | trunc 63 | trimAll "._-" | quote }}
{{- end }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Whether Temporal is called by TLS: "true" or nothing. */}}
{{- define "ringback.temporal.tls" -}}
{{- with .Values.temporal.tls }}{{ if or .enabled .secret .caSecret .serverName $.Values.temporal.apiKey.name }}true{{ end }}{{ end }}
{{- end }}

{{/* Where Temporal is, as every program and the temporal command read it. */}}
{{- define "ringback.temporal.env" -}}
- {name: TEMPORAL_ADDRESS, value: {{ .Values.temporal.address | quote }}}
- {name: TEMPORAL_NAMESPACE, value: {{ .Values.temporal.namespace | quote }}}
{{- if include "ringback.temporal.tls" . }}
- {name: TEMPORAL_TLS, value: "true"}
{{- end }}
{{- with .Values.temporal.tls }}
{{- if .secret }}
- {name: TEMPORAL_TLS_CLIENT_CERT_PATH, value: /etc/temporal/client/tls.crt}
- {name: TEMPORAL_TLS_CLIENT_KEY_PATH, value: /etc/temporal/client/tls.key}
{{- end }}
{{- if .serverName }}
- {name: TEMPORAL_TLS_SERVER_NAME, value: {{ .serverName | quote }}}
{{- end }}
{{- end }}
{{- with .Values.temporal.apiKey }}
{{- if .name }}
- {name: TEMPORAL_API_KEY, valueFrom: {secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}}}
{{- end }}
{{- end }}
{{- end }}

{{/* The authority of Temporal's certificate, which the worker controller does not set beside
a client certificate. */}}
{{- define "ringback.temporal.caEnv" -}}
{{- if .Values.temporal.tls.caSecret }}
- {name: TEMPORAL_TLS_SERVER_CA_CERT_PATH, value: /etc/temporal/ca/ca.crt}
{{- end }}
{{- end }}

{{/* The certificates; those of .client, unless the controller mounts them. */}}
{{- define "ringback.temporal.mounts" -}}
{{- with .root.Values.temporal.tls }}
{{- if and .secret $.client }}
- {name: temporal-client, mountPath: /etc/temporal/client, readOnly: true}
{{- end }}
{{- if .caSecret }}
- {name: temporal-ca, mountPath: /etc/temporal/ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "ringback.temporal.volumes" -}}
{{- with .root.Values.temporal.tls }}
{{- if and .secret $.client }}
- {name: temporal-client, secret: {secretName: {{ .secret | quote }}, defaultMode: 0440}}
{{- end }}
{{- if .caSecret }}
- {name: temporal-ca, secret: {secretName: {{ .caSecret | quote }}, defaultMode: 0440}}
{{- end }}
{{- end }}
{{- end }}

{{- define "ringback.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What every pod may do, and where. */}}
{{- define "ringback.anyPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
# Nobody of the image, whose group may read what is mounted.
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pod template of the program .program, api or worker. */}}
{{- define "ringback.pod" -}}
{{- $v := .root.Values -}}
{{- $isAPI := eq .program "api" -}}
{{- $_ := required "image.repository is required: where the image was pushed to, such as registry.example/ringback" $v.image.repository -}}
{{- $_ = required "image.tag or image.digest is required: that of the image" (or $v.image.tag $v.image.digest) -}}
{{- $_ = required "temporal.address is required: host:port of Temporal's frontend, such as temporal-frontend.temporal:7233" $v.temporal.address -}}
{{- $certificates := dict "root" .root "client" (ne $v.mode "controller") -}}
metadata:
  # Few: a label that changes would be a new build.
  labels:
    {{- include "ringback.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .program }}
    {{- with $v.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "ringback.name" .root }}
  {{- /* Kubernetes counts preStop in. */}}
  terminationGracePeriodSeconds: {{ $isAPI | ternary $v.preStopSeconds 0 | add $v.terminationGracePeriodSeconds }}
  {{- include "ringback.anyPod" .root | nindent 2 }}
  {{- with $v.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - maxSkew: 1
      topologyKey: {{ .topologyKey | quote }}
      whenUnsatisfiable: {{ .whenUnsatisfiable }}
      # Of one build or revision, or the pods that are replaced would count.
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "ringback.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $.program }}
    {{- end }}
  {{- end }}
  {{- with $v.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .program }}
      image: "{{ with $v.image }}{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}{{ end }}"
      imagePullPolicy: {{ $v.image.pullPolicy }}
      command: [/{{ .program }}]
      args:
        - -config=/etc/ringback/ringback.yml
        - -telemetry-listen=:9464
        {{- if $isAPI }}
        - -listen=:8080
        {{- with $v.api.uiURL }}
        - {{ printf "-ui-url=%s" . | quote }}
        {{- end }}
        {{- if not $v.api.worker }}
        {{- if eq $v.mode "controller" }}{{ fail "api.worker: in the mode controller every pod hosts a worker" }}{{ end }}
        - -worker=false
        {{- end }}
        {{- end }}
        {{- if and (eq $v.mode "controller") $v.controller.gate.enabled $v.controller.gate.ping }}
        - -gate-ping={{ $v.controller.gate.ping }}
        {{- end }}
      {{- /* Of these the controller sets its own, from the Connection. */}}
      {{- $env := eq $v.mode "controller" | ternary "" (include "ringback.temporal.env" .root) }}
      {{- with list (trim $env) (include "ringback.temporal.caEnv" .root | trim) | compact | join "\n" }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with $v.config.environment }}
      envFrom:
        {{- range . }}
        - secretRef: {name: {{ . | quote }}}
        {{- end }}
      {{- end }}
      ports:
        {{- if $isAPI }}
        - {name: http, containerPort: 8080}
        {{- end }}
        - {name: telemetry, containerPort: 9464}
      # Alive says nothing of Temporal: a restart would not bring it back.
      startupProbe:
        httpGet: {path: /healthz, port: telemetry, scheme: {{ $v.probes.scheme }}}
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet: {path: /healthz, port: telemetry, scheme: {{ $v.probes.scheme }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: telemetry, scheme: {{ $v.probes.scheme }}}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if $isAPI }}
      # The image has no shell to sleep in.
      lifecycle: {preStop: {sleep: {seconds: {{ $v.preStopSeconds }}}}}
      {{- end }}
      securityContext:
        {{- include "ringback.containerSecurity" .root | nindent 8 }}
      resources:
        {{- toYaml (index $v .program).resources | nindent 8 }}
      volumeMounts:
        # A folder as a whole, never one file of it: kubelet changes no file that is mounted alone.
        - {name: config, mountPath: /etc/ringback, readOnly: true}
        {{- include "ringback.temporal.mounts" $certificates | nindent 8 }}
        {{- with $v.volumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      projected:
        defaultMode: 0440
        sources:
          - configMap: {name: {{ $v.config.configMap | quote }}}
          {{- range $v.config.secrets }}
          - secret: {{ kindIs "string" . | ternary (dict "name" .) . | toJson }}
          {{- end }}
    {{- include "ringback.temporal.volumes" $certificates | nindent 4 }}
    {{- with $v.volumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
