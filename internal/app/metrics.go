package app

import "github.com/prometheus/client_golang/prometheus"

// configCollector shows the hash of the configuration in force, so that two
// programs on different files are seen (promise 14).
type configCollector struct {
	registry *registry
	info     *prometheus.Desc
}

func newConfigCollector(r *registry) configCollector {
	return configCollector{registry: r, info: prometheus.NewDesc("ringback_config_info",
		"1, labelled with the hash of the configuration in force.", []string{"hash"}, nil)}
}

// Describe sends the metric's description.
func (c configCollector) Describe(to chan<- *prometheus.Desc) { to <- c.info }

// Collect sends the metric as it stands.
func (c configCollector) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(c.info, prometheus.GaugeValue, 1, c.registry.hash())
}

// newFlag is a gauge that is 1 while isSet says so, and 0 else.
func newFlag(name, help string, isSet func() bool) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		if isSet() {
			return 1
		}
		return 0
	})
}
