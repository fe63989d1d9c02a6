package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
	"ringback/internal/views"
)

// opening is the open command's flags.
type opening struct {
	browser  bool
	endpoint string
	// wanted says of each view, by its name, whether its flag is set.
	wanted map[string]*bool
}

func (t *tool) open() *cobra.Command {
	o := opening{wanted: map[string]*bool{}}
	cmd := &cobra.Command{
		Use:   "open (ENDPOINT OPERATION_ID | --failed | --retrying | --on-hold | --watching)",
		Short: "Print the link to an operation's run, or to those of many, in the Temporal UI",
		Long: `Print the link to an operation's latest run in the Temporal UI, or to one of its
lists of runs. With --browser also open it (xdg-open).

--failed lists every run that failed, also those whose operation was redelivered
since; "starter list --failed" shows what is still open.`,
		Example: `  starter open ECOM_GOLD_BANK ORDER-1
  starter open WALLET_SHOP/239441503 --browser
  starter open --failed --endpoint ECOM_GOLD_BANK`,
		Args: func(cmd *cobra.Command, args []string) error {
			if _, listed := o.view(); listed {
				return cobra.NoArgs(cmd, args)
			}
			return operationArgs(cmd, args)
		},
	}
	flags := cmd.Flags()
	var names []string
	for _, view := range views.All("", time.Now()) {
		o.wanted[view.Name] = flags.Bool(view.Name, false, "a list instead: "+view.Finds)
		names = append(names, view.Name)
	}
	cmd.MarkFlagsMutuallyExclusive(names...)
	flags.StringVar(&o.endpoint, "endpoint", "", "only what the list has of this `ENDPOINT`")
	flags.BoolVar(&o.browser, "browser", false, "also open it in a browser, by xdg-open")
	cmd.RunE = t.withAPI(func(ctx context.Context, api *client.Client, args []string) error {
		link, err := o.link(ctx, api, args)
		if err != nil {
			return err
		}
		if err := checkPage(link); err != nil {
			return err
		}
		err = t.show(map[string]string{"ui_url": link}, func(w io.Writer) { _, _ = fmt.Fprintln(w, printable(link)) })
		if err != nil || !o.browser {
			return err
		}
		return t.browse(ctx, link)
	})
	return cmd
}

// view is the list that a flag asks for, if one does.
func (o opening) view() (views.View, bool) {
	for _, view := range views.All(o.endpoint, time.Now()) {
		if *o.wanted[view.Name] {
			return view, true
		}
	}
	return views.View{}, false
}

// link is the address in the Temporal UI, which the API alone knows; empty: it knows none.
func (o opening) link(ctx context.Context, api *client.Client, args []string) (string, error) {
	view, listed := o.view()
	switch {
	case listed:
		page, err := api.List(ctx, client.ListQuery{Endpoint: o.endpoint})
		if err != nil || page.UIURL == "" {
			return "", err
		}
		return views.Link(page.UIURL, view.Query), nil
	case o.endpoint != "":
		return "", usage("--endpoint goes with a list: --failed, --retrying or --watching")
	}
	key, err := parseOperation(args)
	if err != nil {
		return "", err
	}
	state, err := api.State(ctx, key)
	return state.UIURL, err
}

// checkPage refuses what a browser would not open as a page.
func checkPage(address string) error {
	link, err := url.Parse(address)
	switch {
	case address == "":
		return errors.New("the API knows no Temporal UI: start it with -ui-url")
	case err != nil || (link.Scheme != "http" && link.Scheme != "https"):
		return errors.New("the API's link is not an address of a page")
	}
	return nil
}

// browse opens a page in the desktop's own browser.
func browse(ctx context.Context, address string) error {
	if err := exec.CommandContext(ctx, "xdg-open", address).Run(); err != nil { //nolint:gosec // http or https, as checkPage saw
		return fmt.Errorf("opening the link by xdg-open: %w", err)
	}
	return nil
}
