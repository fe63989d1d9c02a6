package config_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ringback/internal/config"
)

// holder keeps secrets as other structs may: fmt can't call the methods of an
// unexported field.
type holder struct {
	Shown  config.Secret
	hidden config.Secret
	List   []config.Secret
	Map    map[string]config.Secret
	Header config.Header
}

func TestASecretIsShownNowhere(t *testing.T) {
	t.Parallel()
	const value = "do-not-show-me"
	s := config.NewSecret(value)
	h := holder{s, s, []config.Secret{s}, map[string]config.Secret{"k": s}, config.Header{Secret: s}}
	require.Equal(t, value, s.Reveal())
	require.False(t, s.IsZero())

	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		t.Run("printed with "+format, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "[redacted]", fmt.Sprintf(format, s))
			for _, whole := range []string{fmt.Sprintf(format, h), fmt.Sprintf(format, &h)} {
				require.NotContains(t, whole, value)
				require.NotContains(t, whole, fmt.Sprintf("%x", value))
			}
		})
	}
	t.Run("printed without a format", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "[redacted]", fmt.Sprint(s))
		require.NotContains(t, fmt.Sprintln(h, &s), value)
		require.Equal(t, "[redacted]", s.String())
	})
	t.Run("marshalled", func(t *testing.T) {
		t.Parallel()
		asJSON, err := json.Marshal(h)
		require.NoError(t, err)
		require.JSONEq(t, `{"Shown":"[redacted]","List":["[redacted]"],"Map":{"k":"[redacted]"},"Header":"[redacted]"}`, string(asJSON))

		asYAML, err := yaml.Marshal(h)
		require.NoError(t, err)
		require.Contains(t, string(asYAML), "shown: \"[redacted]\"")
		require.NotContains(t, string(asYAML), value)

		asText, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, "[redacted]", string(asText))

		var asGob bytes.Buffer
		_ = gob.NewEncoder(&asGob).Encode(s)
		require.NotContains(t, asGob.String(), value)
	})
	t.Run("logged", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zap.DebugLevel))
		logger.Info("m", zap.Any("any", s), zap.Stringer("stringer", s), zap.Reflect("reflect", h), zap.Any("holder", h), zap.Any("list", h.List))
		logger.Sugar().Infof("%v %+v %#v", s, h, &h)
		logger.Sugar().Infow("m", "k", s, "h", h)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", s, "h", h)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", s, "h", h)
		require.Contains(t, log.String(), `"any":"[redacted]"`)
		require.NotContains(t, log.String(), value)
	})
}

func TestAnEmptySecretIsUnset(t *testing.T) {
	t.Parallel()
	require.True(t, config.NewSecret("").IsZero())
	require.Empty(t, config.Secret{}.Reveal())
	require.Equal(t, "[redacted]", fmt.Sprint(config.Secret{}), "nobody learns that it is unset")
}

func TestAWholeConfigurationShowsNoSecret(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), everyKey)
	require.NoError(t, err)
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(c)
	require.NoError(t, err)
	for _, shown := range []string{string(asJSON), string(asYAML), fmt.Sprintf("%v %+v %#v", c, *c, *c)} {
		require.NotContains(t, shown, "hunter22")
		require.NotContains(t, shown, signingSecret)
		require.NotContains(t, shown, "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU")
	}
}
