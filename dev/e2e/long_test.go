package e2e_test

import (
	"flag"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// long are the tests that `go test -short` (make test) leaves out and make test-long
// runs: those that take more than half a minute, load the machine, or stop the server,
// and those that need PostgreSQL, Chromium or Prometheus.
var long = []func(*testing.T){
	TestSettingTheClockDelaysNothing,
	TestAfterTheRetentionAnOperationIsForgotten,
	TestAnOperationIsPushedAndRevokedBeyondTheUpdatesOfOneRun,
	TestAPostgreSQLThatDiesLosesNothing,
	TestATemporalServerKilledAndStartedAgainOnItsFilesLosesNothing,
	TestBrowserShowsOperationsToOperators,
	TestBrowserShowsEncryptedPayloadsToReaders,
	TestChangesAndReadsAreServedDuringAFloodOfStarts,
	TestChaos,
	TestDevPointsItsUIToTheCodecServer,
	TestDevServesAGivenConfigurationAlone,
	TestDevPlaysItsStoryAndKeepsItOverAKill,
	TestEveryCommandOfTheRunbookDoesWhatItSays,
	TestEveryMetricAndLabelThatTheRulesAndTheDashboardNameIsShown,
	TestAllSecretsAreReplacedUnderLoad,
	TestHostile,
	TestABulkRedeliveryThatIsStoppedAndKilledDeliversEachOnce,
	TestStoredPayloadsAreEncryptedOnPostgreSQL,
	TestStoredPayloadsAreEncrypted,
	TestPinnedOperationsEndOnTheBuildThatBeganThem,
	TestProgramsThatAreNotVersionedAreUpgradedOneAfterAnother,
	TestTheLastReleaseIsUpgradedToThis,
	TestPromtoolsPrometheusEvaluatesEveryRuleAndFillsEveryPanel,
	TestPromtoolAcceptsTheRulesAndEachAlertFires,
	TestStartsAreRefusedUnderOverloadAndAcceptedOnesComplete,
	TestTheIntervalIsKeptOnAnUnmodifiedServer,
	TestTheTopologyOfProductionOnPostgreSQL,
	TestTemporalSpeaksTLSToPostgreSQL,
	TestOperatorActionsOnABulkRedelivery,
	TestOperatorActionsOnADelivery,
	TestOperatorActionsOnARun,
	TestLongOperationsGoOnWithTheCurrentBuild,
	TestUndeliveredOperationsAreListedAndRedeliveredOnPostgreSQL,
	TestDeliveriesAfterARestoreOfADataDirectory,
	TestDeliveriesAfterARestoreOfPostgreSQL,
	TestARunWaitsForItsMissingCodecKey,
}

// skipLong adds the long tests to what -skip leaves out.
func skipLong() {
	patterns := []string{}
	if given := flag.Lookup("test.skip").Value.String(); given != "" {
		patterns = append(patterns, given)
	}
	for _, test := range long {
		name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
		patterns = append(patterns, "^"+name[strings.LastIndex(name, ".")+1:]+"$")
	}
	_ = flag.Set("test.skip", strings.Join(patterns, "|"))
}
