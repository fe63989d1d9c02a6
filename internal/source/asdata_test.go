package source

import "ringback/internal/expression"

func textOf(s string) expression.Node { return expression.Node{Text: &s} }

// membersOf are pairs of names and expressions.
func membersOf(pairs ...string) (all expression.Members) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, expression.Member{Name: pairs[i], Value: textOf(pairs[i+1])})
	}
	return all
}

// objectOf is an object of such members.
func objectOf(pairs ...string) expression.Node { return expression.Node{Object: membersOf(pairs...)} }

// inKyiv writes the parts of a timestamp with two digits, joined.
func inKyiv(separator string, parts string) string {
	return "[" + parts + "].map(n, n < 10 ? '0' + string(n) : string(n)).join('" + separator + "')"
}

const regAt = "operation.reference.registered_at"

// UkrcardAsData is Ukrcard's source as its documents have it (see ukrcard.go).
func UkrcardAsData() Definition {
	date := inKyiv("-", regAt+".getFullYear('Europe/Kyiv'), "+regAt+".getMonth('Europe/Kyiv') + 1, "+regAt+".getDate('Europe/Kyiv')")
	clock := inKyiv(":", regAt+".getHours('Europe/Kyiv'), "+regAt+".getMinutes('Europe/Kyiv'), "+regAt+".getSeconds('Europe/Kyiv')")
	confirm := func(path string) *RequestTemplate {
		return &RequestTemplate{Method: "POST", Path: path, Headers: membersOf(
			"ExtSystemid", "'ECOM_GOLD_BANK'", "login", "'gold'", "password", "secret.password",
			"orderNumber", "operation.operation_id", "RegDate", date+" + ' ' + "+clock,
			"Content-Type", "'application/json;charset=UTF-8'", "charset", "'UTF-8'", "accept", "'application/json'",
			"x-uws-clientdn", "'GOLDENBANK'", "orderId", "optional.ofNonZeroValue(operation.reference.order_id)",
		)}
	}
	const (
		isOK       = "string(body.respStatus) == '200'"
		orderState = isOK + " ? body.?orderStatus : optional.none()"
	)
	return Definition{
		Secrets:     []string{"password"},
		OperationID: IdentifierRule{Pattern: `^[!-~]([ -~]*[!-~])?$`, MaxLength: 32},
		Methods:     []string{"payment", "p2p_transfer", "p2p_a2c", "p2p_c2a"},
		Statuses: map[string][]string{
			"0": {"revocable"}, "1": {"final", "rings"}, "2": {"final", "rings"}, "3": {}, "4": {}, "5": {"revocable"}, "6": {},
		},
		Request: confirm("/Confirm"), DetailsRequest: confirm("/ConfirmExt"),
		Answer: &AnswerReader{
			Answered: "has(body.respStatus)",
			About:    "body.?orderNumber.orValue(null) == null ? operation.operation_id : body.orderNumber",
			// What is not as the document has it has no status: index 0 of an empty list fails.
			Status: `type(body.respStatus) in [int, string] && string(body.respStatus).matches('^(0|[1-9][0-9]{0,2})$') &&
				(body.?orderId.orValue(null) == null || type(body.orderId) in [int, string] && string(body.orderId).matches('^[!-~]{1,36}$')) &&
				(!(` + isOK + `) || body.?orderStatus.orValue(null) == null || type(body.orderStatus) in [int, string] && string(body.orderStatus).matches('^[0-9]$'))
				? (` + orderState + `) : optional.of([][0])`,
			Keep: membersOf("respStatus", "body.respStatus", "orderStatus", orderState, "orderId", "body.?orderId",
				"actionCode", "string(body.actionCode).matches('^-?[0-9]{1,9}$') ? body.?actionCode : optional.none()"),
			Details: membersOf("respStatus", "body.respStatus", "orderStatus", "body.orderStatus", "orderNumber", "body.orderNumber", "orderId", "body.orderId",
				"actionCode", "body.actionCode", "actionCodeDescription", "body.actionCodeDescription", "amount", "body.amount", "currency", "body.currency", "date", "body.date"),
		},
	}
}

// PayseraAsData is Paysera's source as its documents have it (see paysera.go).
func PayseraAsData() Definition {
	money := objectOf("amount", "body.amount.amount", "currency", "body.amount.currency")
	return Definition{
		OperationID: IdentifierRule{Pattern: `^[A-Za-z0-9_-]+$`, MaxLength: 64},
		Statuses: map[string][]string{
			"new": {"revocable"}, "registered": {}, "waiting": {"revocable"}, "waiting_funds": {"rings", "revocable"},
			"waiting_registration": {"rings", "revocable"}, "waiting_password": {"rings", "revocable"}, "reserved": {"rings", "revocable"},
			"frozen": {}, "processing": {}, "done": {"final", "rings"}, "rejected": {"final", "rings"}, "revoked": {"final", "rings"}, "failed": {"final", "rings"},
		},
		Request: &RequestTemplate{Path: "/transfer/rest/v1/transfers/{operation.operation_id}"},
		Answer: &AnswerReader{
			Answered: "has(body.id) && has(body.status) || body.error.size() > 0",
			About:    "http.status >= 200 && http.status <= 299 ? body.id : ''",
			Status: `type(body.status) == string && body.status.matches('^[A-Za-z0-9_.-]{1,64}$') ?
				(body.status == 'failed' && body.?failure_status.?code.orValue('') == 'cancelled_by_user' ? 'revoked' : body.status) : [][0]`,
			Keep: membersOf("status", "body.status",
				"failure_code", "body.failure_status.code.matches('^[A-Za-z0-9_.-]{1,64}$') ? body.failure_status.code : null"),
			Details: append(membersOf("id", "body.id", "status", "body.status", "created_at", "body.created_at", "performed_at", "body.performed_at",
				"allowed_to_cancel", "body.allowed_to_cancel", "cancelable", "body.cancelable"),
				expression.Member{Name: "amount", Value: money},
				expression.Member{Name: "commission", Value: objectOf("amount", "body.commission.amount", "currency", "body.commission.currency")},
				expression.Member{Name: "out_commission", Value: objectOf("amount", "body.out_commission.amount", "currency", "body.out_commission.currency")},
				expression.Member{Name: "failure_status", Value: objectOf("code", "body.failure_status.code")},
			),
		},
	}
}
