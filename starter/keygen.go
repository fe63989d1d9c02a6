package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/nearest"
)

// generated is a secret, and what goes elsewhere.
type generated struct {
	Secret string `json:"secret"`
	// Public is what the receiver verifies with.
	Public string `json:"public,omitempty"`
	// YAML is the line for the configuration, at the key Under.
	Under string `json:"under"`
	YAML  string `json:"yaml"`
}

const signingYAML = `secrets: ["${env:SIGNING_SECRET}"]`

// apiKeyPrefix keeps a key from being taken for its digest.
const apiKeyPrefix = "rbk_"

var generators = map[string]func() generated{
	"api-key": func() generated {
		key := apiKeyPrefix + hex.EncodeToString(randomBytes())
		return generated{Secret: key, Under: "api.keys",
			YAML: fmt.Sprintf("- {name: engineers, sha256: %x, scopes: [read, redeliver, ping]}", sha256.Sum256([]byte(key)))}
	},
	"whsec": func() generated {
		return generated{Secret: secretPrefix + inBase64(randomBytes()), Under: "the endpoint's signing", YAML: signingYAML}
	},
	"whsk": func() generated {
		key := ed25519.NewKeyFromSeed(randomBytes())
		public := publicKeyPrefix + inBase64(key[ed25519.SeedSize:])
		return generated{Secret: privateKeyPrefix + inBase64(key.Seed()), Public: public, Under: "the endpoint's signing", YAML: signingYAML}
	},
	"codec": func() generated {
		return generated{Secret: inBase64(randomBytes()), Under: "codec.keys",
			YAML: fmt.Sprintf(`- {id: %q, key: "${env:CODEC_KEY}"}`, time.Now().UTC().Format(time.DateOnly))}
	},
}

// randomBytes are as many as each kind of secret has.
func randomBytes() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret
}

func inBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func (t *tool) keygen() *cobra.Command {
	kinds := slices.Sorted(maps.Keys(generators))
	return &cobra.Command{
		Use:   "keygen KIND",
		Short: "Make an API key, a signing secret or a codec key",
		Long: `Make a secret. It alone is the output, so that it can be written to a file; the line
to paste into the configuration, where the secret itself is never written, goes to
standard error. It is kept nowhere and shown once.

  api-key  an API key; the line has its digest. Name its holder there, and give it
           the scopes that it needs
  whsec    a signing secret, which the receiver gets, too
  whsk     a private signing key, and the public one (whpk) for the receiver
  codec    a key that seals what is kept in Temporal`,
		Example: `  starter keygen api-key
  starter keygen whsk -o json`,
		ValidArgs: kinds,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usage("name what to make: %s", strings.Join(kinds, ", "))
			case generators[args[0]] == nil:
				return usage("%q is none of %s%s", args[0], strings.Join(kinds, ", "), nearest.Hint(args[0], kinds))
			}
			return nil
		},
		RunE: t.run(func(_ *cobra.Command, args []string) error {
			made := generators[args[0]]()
			if t.output == outputTable {
				t.note("paste this line into the configuration, under %s:\n  %s", made.Under, made.YAML)
			}
			if t.output == outputTable && made.Public != "" {
				t.note("give the receiver this public key:\n  %s", made.Public)
			}
			return t.show(made, func(w io.Writer) { _, _ = fmt.Fprintln(w, made.Secret) })
		}),
	}
}
