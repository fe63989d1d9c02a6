package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) open() *cobra.Command {
	var browser bool
	cmd := &cobra.Command{
		Use:   "open" + operationUse,
		Short: "Print the link to an operation's run in the Temporal UI",
		Long:  "Print the link to an operation's latest run in the Temporal UI. With --browser also open it (xdg-open).",
		Example: `  starter open ECOM_GOLD_BANK ORDER-1
  starter open WALLET_SHOP/239441503 --browser`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
	}
	cmd.Flags().BoolVar(&browser, "browser", false, "also open it in a browser, by xdg-open")
	cmd.RunE = t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
		r, err := c.call(cmd.Context(), http.MethodGet, path(key, ""), nil)
		if err != nil {
			return err
		}
		address, err := uiLink(r)
		if err != nil {
			return err
		}
		if err := t.showLink(address); err != nil || !browser {
			return err
		}
		return t.browse(cmd.Context(), address)
	})
	return cmd
}

// uiLink is the state's link, where the API knows the UI.
func uiLink(r reply) (string, error) {
	var s operation.State
	if err := r.into(&s); err != nil {
		return "", err
	}
	if s.UIURL == "" {
		return "", errors.New("the API knows no Temporal UI: start it with -ui-url")
	}
	if u, err := url.Parse(s.UIURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errors.New("the API's link is not an address of a page")
	}
	return s.UIURL, nil
}

func (t *tool) showLink(address string) error {
	if t.output == outputJSON {
		return t.showJSON(reply{body: fmt.Appendf(nil, `{"ui_url":%q}`, address)})
	}
	_, err := fmt.Fprintln(t.out, printable(address))
	return err
}

// browse shows a page by the desktop's own choice.
func browse(ctx context.Context, address string) error {
	if err := exec.CommandContext(ctx, "xdg-open", address).Run(); err != nil { //nolint:gosec // http or https, as uiLink checks
		return fmt.Errorf("opening the link by xdg-open: %w", err)
	}
	return nil
}
