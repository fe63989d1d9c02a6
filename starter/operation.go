package main

import (
	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// operationUse is how commands name an operation in their usage line.
const operationUse = " ENDPOINT OPERATION_ID"

// operationArgs accepts an operation as one argument or two.
func operationArgs(_ *cobra.Command, args []string) error {
	_, err := operationIn(args)
	return err
}

// operationIn is the operation that the arguments name.
func operationIn(args []string) (operation.Key, error) {
	switch {
	case len(args) == 2 && args[0] != "" && args[1] != "":
		return operation.Key{Endpoint: args[0], OperationID: args[1]}, nil
	case len(args) == 1:
		if key, ok := operation.ParseWorkflowID(args[0]); ok && key.Endpoint != "" && key.OperationID != "" {
			return key, nil
		}
	}
	return operation.Key{}, usage("name an operation: ENDPOINT OPERATION_ID, or ENDPOINT/OPERATION_ID")
}

// onOperation is a command about one operation.
func (t *tool) onOperation(do func(cmd *cobra.Command, c *client, key operation.Key) error) func(*cobra.Command, []string) error {
	return t.begin(t.withOperation(do))
}

// onOperationUnbounded is onOperation for what may take any time.
func (t *tool) onOperationUnbounded(do func(cmd *cobra.Command, c *client, key operation.Key) error) func(*cobra.Command, []string) error {
	return t.beginUnbounded(t.withOperation(do))
}

func (t *tool) withOperation(do func(cmd *cobra.Command, c *client, key operation.Key) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		key, err := operationIn(args)
		if err != nil {
			return err
		}
		c, err := t.client()
		if err != nil {
			return err
		}
		return do(cmd, c, key)
	}
}
