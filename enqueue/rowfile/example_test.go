package rowfile_test

import (
	"fmt"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
)

func ExampleRead() {
	// The file may be an *os.File, of any encoding, or a workbook. The options rename
	// its columns, and set what it lacks.
	file := strings.NewReader("Company;Country\nNorth Shop;49\n2026-03-04;49\nSouth Shop;+31\n")
	rows := rowfile.Read(file, rowfile.Options{
		File:     "customers.csv",
		Map:      map[string]string{"Company": "InstanceName", "Country": "CountryId"},
		Set:      map[string]string{"ChannelType": "VIBER"},
		OnFormat: func(f rowfile.FileInfo) { fmt.Println(f.Format) },
	})
	for row, err := range rows {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(row.Line, row.Job.Request.InstanceName, row.Job.Request.CountryID)
	}

	// Output:
	// ASCII, semicolons
	// 2 North Shop 49
	// customers.csv:3: Company: is a date, as a spreadsheet makes of names such as Mar-04; format the column as text and type it again
	// customers.csv:4: Country: must be 1 to 6 digits, without a plus sign
}
