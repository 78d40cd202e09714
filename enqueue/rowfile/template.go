package rowfile

import "github.com/camsq/camsq/tasks"

// examples are the values of the example row, by field.
var examples = map[string]string{
	"ChannelType":         "VIBER",
	"InstanceName":        "Example Shop",
	"InstanceDescription": "Order updates",
	"OfficeAddress":       "1 Example Street, Springfield",
	"ContactMail":         "ops@example.com",
	"CountryId":           "49",
	"FacebookBmId":        "393992929000001",
	"IsvTerms":            "https://example.com/terms.pdf",
	"IsConfirmAudit":      "Y",
	"job_id":              "example-1",
	"priority":            "normal",
	"callback_url":        "https://example.com/hook",
	"metadata.crm_id":     "C-0001",
}

// Template returns a header with every column that a file may have, and an example row,
// which [Read] rejects. metadata.crm_id stands for any metadata.KEY.
func Template() (header, example []string) {
	for _, c := range knownColumns() {
		header = append(header, c.field)
	}
	header = append(header, metadataPrefix+"crm_id")
	for _, field := range header {
		example = append(example, examples[field])
	}
	return header, example
}

// isExample reports whether a row is the template's example.
func isExample(job tasks.Job) bool {
	return job.ID == examples["job_id"] && job.Request.InstanceName == examples["InstanceName"]
}
