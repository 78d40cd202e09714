package main

// contradictions are the guards against answers that say two things at once.
func contradictions() []mutant {
	const recover = "worker/recover.go"
	return []mutant{
		{
			name: "a contradictory success is one", risk: "a job is told to have an instance of another channel type or name",
			file: "cams/instance.go",
			old:  "if err := r.contradicted(row); err != nil {", new: "if err := r.contradicted(row); err != nil && instance.InstanceID == \"\" {",
			pkg: "cams", test: "TestASuccessThatContradictsTheRequestIsNone",
		},
		{
			name: "what an answer named is absent", risk: "a call is made again whose answer named an instance that no list shows",
			file: recover,
			old:  "	if r.Named != \"\" {\n		return w.contradicted(ctx, l, r, nil)\n	}\n",
			pkg:  "worker", test: "TestAnInstanceThatAnAnswerNamedIsNeverAbsent",
		},
		{
			name: "any instance is the one that was named", risk: "a job is told to have another instance than its answer named",
			file: recover,
			old:  "&& !strings.EqualFold(fresh[0].InstanceID, r.Named)", new: "&& false",
			pkg: "worker", test: "TestAnAnswerThatContradictsTheRequestIsLookedUp",
		},
		{
			name: "two spellings are two instances", risk: "two jobs are told to have one instance",
			file: "internal/ledger/keys.go",
			old:  "strings.ToLower(id)", new: "strings.TrimSpace(id)",
			pkg: "worker", test: "TestAnInstanceThatAnotherJobHasInAnotherSpellingIsHeld",
		},
		{
			name: "an ID is whatever came", risk: "a key, a link and a terminal get what the API, or who stands before it, has written",
			file: "cams/bounds.go",
			old:  "if id = strings.TrimSpace(id); instanceForm.MatchString(id) {", new: "if id = strings.TrimSpace(id); id != \"\" {",
			pkg: "cams", test: "TestASuccessThatContradictsTheRequestIsNone",
		},
		{
			name: "an event of any size", risk: "no receiver takes the outcome, and the job is never told",
			file: "tasks/eventsize.go",
			old:  "if err != nil || len(body) <= MaxEvent {\n		return body, err\n	}\n	if over", new: "if err != nil || true {\n		return body, err\n	}\n	if over",
			pkg: "tasks", test: "TestAnEventHasItsBound",
		},
	}
}
