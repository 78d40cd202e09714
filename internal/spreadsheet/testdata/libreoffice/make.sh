#!/usr/bin/env bash
# Saves customers.fods with LibreOffice in the forms in which people send tables.
# The files are committed beside it; run this again after changing the source.
# Debian: apt-get install libreoffice-calc zstd
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

save() { # NAME FORMAT
	soffice --headless "-env:UserInstallation=file://$work/profile" --convert-to "$2" --outdir "$work/out" customers.fods >/dev/null 2>&1
	mv "$work"/out/* "$1"
}

# Separator, quotation mark, character set (76 UTF-8, 65535 UTF-16, 85 GB18030,
# 1 Windows-1252), first line, column formats, language, quote all texts, numbers as
# such, as shown, formulas, spaces, sheet (LibreOffice's "Filter Options for the CSV
# Filter").
csv() { # NAME SEPARATOR CHARSET SHEET
	save "$1" "csv:Text - txt - csv (StarCalc):$2,34,$3,1,,0,false,true,true,false,false,$4"
}

csv utf8-comma.csv 44 76 1
csv utf8-semicolon.csv 59 76 1
# As Windows saves it, with a mark and CR LF.
{ printf "\xef\xbb\xbf" && sed "s/\$/\r/" utf8-semicolon.csv; } >utf8-mark-semicolon.csv
csv utf16-tab.csv 9 65535 1
csv gb18030-comma.csv 44 85 1
csv windows1252-semicolon.csv 59 1 1
save customers.xlsx "xlsx:Calc MS Excel 2007 XML"
save customers.xls "xls:MS Excel 97"
save customers.ods "ods"
gzip -9nc gb18030-comma.csv >gb18030-comma.csv.gz
zstd -19 -qc utf16-tab.csv >utf16-tab.csv.zst
