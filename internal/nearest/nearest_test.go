package nearest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAHintNamesWhatMayHaveBeenMeant(t *testing.T) {
	t.Parallel()
	names := []string{"ECOM_GOLD_BANK", "LEDGER", "SHOP", "SHOPS", "WALLET_SHOP"}
	for typed, want := range map[string]string{
		"LEGDER":         " (did you mean LEDGER?)",
		"ledger":         " (did you mean LEDGER?)",
		"LEDGERS":        " (did you mean LEDGER?)",
		"ECOM":           " (did you mean ECOM_GOLD_BANK?)",
		"SHPO":           " (did you mean SHOP or SHOPS?)",
		"WALLET-SHOP":    " (did you mean WALLET_SHOP?)",
		"L":              "",
		"NOBODY":         "",
		"":               "",
		"SHOP' OR 1 = 1": "",
	} {
		require.Equal(t, want, Hint(typed, names), typed)
	}
}
