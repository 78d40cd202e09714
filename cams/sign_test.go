package cams

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// The first two signatures are the vendor's, published at doc-detail/2593177 and in its
// page on request signatures for Model Studio. The other two are of CAMS calls, and three
// implementations agree on them: a Python one, the vendor's Go core, and this one.
func TestSignatureIsThePublishedOne(t *testing.T) {
	runInstances := url.Values{
		"ImageId":  {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"},
		"RegionId": {"cn-shanghai"},
	}
	createInstance := url.Values{
		"ChannelType": {"VIBER"}, "InstanceName": {"viber ins*~/é"}, "ContactMail": {"a+b@example.com"},
		"CountryId": {"1"}, "IsvTerms": {"https://a.com/1.pdf"}, "IsConfirmAudit": {"Y"},
	}
	const withoutToken = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
	const withToken = "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version"

	tests := []struct {
		name                                 string
		host, action, version                string
		query                                url.Values
		date, nonce, token                   string
		wantHash, wantHeaders, wantSignature string
	}{
		{
			name: "the vendor's example", host: "ecs.cn-shanghai.aliyuncs.com", action: "RunInstances", version: "2014-05-26", query: runInstances,
			date: "2023-10-26T10:22:32Z", nonce: "3156853299f313e23d1673dc12e1703d",
			wantHash:      "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
			wantHeaders:   withoutToken,
			wantSignature: "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
		},
		{
			name: "the example's other date and nonce", host: "ecs.cn-shanghai.aliyuncs.com", action: "RunInstances", version: "2014-05-26", query: runInstances,
			date: "2023-10-26T09:01:01Z", nonce: "d410180a5abf7fe235dd9b74aca91fc0",
			wantHash:      "29622f5feb1e9fcaaa2e276a72889c975f7b16f00e02be1ca34965b18cd85015",
			wantHeaders:   withoutToken,
			wantSignature: "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804",
		},
		{
			name: "CAMS with special characters", host: "cams.ap-southeast-1.aliyuncs.com", action: "CreateInstance", version: Version, query: createInstance,
			date: "2026-01-02T03:04:05Z", nonce: "00000000000000000000000000000001",
			wantHash:      "f5be2344d27a6616f3b686733d9993a6dfe3a6ec98797762d7d58e7e53da3435",
			wantHeaders:   withoutToken,
			wantSignature: "5df0567a062d3b557773d6bdf5f053d5467c2506100420eec753e3af44e954da",
		},
		{
			name: "CAMS with a security token", host: "cams.ap-southeast-1.aliyuncs.com", action: "CreateInstance", version: Version, query: createInstance,
			date: "2026-01-02T03:04:05Z", nonce: "00000000000000000000000000000001", token: "YourSecurityToken",
			wantHash:      "06ee74b9bcd9ed65a66582b3dbf342719a929bbc3fb3db12a04d4ab7db8ab640",
			wantHeaders:   withToken,
			wantSignature: "3830d5feef622ab51e57884a0c8f8de5fc6eba30b894469605133639f98f3524",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{
				Method: http.MethodPost, Host: tt.host,
				URL:    &url.URL{Scheme: "https", Host: tt.host, Path: "/", RawQuery: canonicalQuery(tt.query)},
				Header: http.Header{},
			}
			r.Header.Set("x-acs-action", tt.action)
			r.Header.Set("x-acs-version", tt.version)
			r.Header.Set("Accept", "application/json") // not signed
			now, err := time.Parse(time.RFC3339, tt.date)
			if err != nil {
				t.Fatal(err)
			}
			c := Credentials{AccessKeyID: "YourAccessKeyId", AccessKeySecret: "YourAccessKeySecret", SecurityToken: tt.token}
			sign(r, c, now.In(time.FixedZone("elsewhere", 3600)), tt.nonce)

			canonical, _ := canonicalRequest(r)
			if hash := sha256.Sum256([]byte(canonical)); hex.EncodeToString(hash[:]) != tt.wantHash {
				t.Errorf("hash of the canonical request: got %x, want %s\n%s", hash, tt.wantHash, canonical)
			}
			want := "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=" + tt.wantHeaders + ",Signature=" + tt.wantSignature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization:\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestCanonicalQueryOfSpecialCharacters(t *testing.T) {
	got := canonicalQuery(url.Values{
		"ChannelType": {"VIBER"}, "InstanceName": {"viber ins*~/é"}, "ContactMail": {"a+b@example.com"},
		"CountryId": {"1"}, "IsvTerms": {"https://a.com/1.pdf"}, "IsConfirmAudit": {"Y"},
	})
	want := "ChannelType=VIBER&ContactMail=a%2Bb%40example.com&CountryId=1&InstanceName=viber%20ins%2A~%2F%C3%A9&IsConfirmAudit=Y&IsvTerms=https%3A%2F%2Fa.com%2F1.pdf"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAContentTypeIsSignedAndOtherHeadersAreNot(t *testing.T) {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Host: "cams.example.com"}, Header: http.Header{
		"Content-Type": {"text/plain "}, "Accept": {"x"}, "User-Agent": {"x"}, "X-Acs-Date": {"d"},
	}}
	canonical, signed := canonicalRequest(r)
	if want := "content-type;host;x-acs-date"; signed != want {
		t.Errorf("signed headers: got %s, want %s", signed, want)
	}
	if want := "POST\n/\n\ncontent-type:text/plain\nhost:cams.example.com\nx-acs-date:d\n\ncontent-type;host;x-acs-date\n"; canonical != want {
		t.Errorf("got %q, want %q", canonical, want)
	}
}

// FuzzCanonicalQuery compares with the algorithm as the vendor's page words it.
func FuzzCanonicalQuery(f *testing.F) {
	f.Add("InstanceName", "viber ins*~/é", "ContactMail", "a+b@example.com")
	f.Add("a b", "+", "a+b", "%20")
	f.Add("é", "", "e", "\x00\xff")
	f.Add("A.B", "1", "A-B", ";&=#?")
	f.Add("same", "2", "same", "1")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		values := url.Values{}
		values.Add(name1, value1)
		values.Add(name2, value2)
		got := canonicalQuery(values)

		pairs := [][2]string{{name1, value1}, {name2, value2}}
		slices.SortStableFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		want := rfc3986(pairs[0][0]) + "=" + rfc3986(pairs[0][1]) + "&" + rfc3986(pairs[1][0]) + "=" + rfc3986(pairs[1][1])
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}

		// What is sent is what was signed: a server that decodes it and does the same gets the same.
		decoded, err := url.ParseQuery(got)
		if err != nil {
			t.Fatalf("%q does not parse: %v", got, err)
		}
		if again := canonicalQuery(decoded); again != got {
			t.Fatalf("after decoding: got %q, want %q", again, got)
		}
	})
}

// FuzzASignedRequest takes what goes over the wire as a server sees it, makes the
// canonical request of the text alone, as the vendor's page words it, and compares
// the signatures.
func FuzzASignedRequest(f *testing.F) {
	f.Add("cams.ap-southeast-1.aliyuncs.com", "InstanceName", "viber ins*~/é", "ContactMail", "a+b@example.com", "", "secret")
	f.Add("http://127.0.0.1:8080", "a b", "+", "a+b", "%20", "token/+=", "s")
	f.Add("https://[::1]:443/", "é", "", "e", "\x00\xff", "t", "\xff")
	f.Add("CAMS.example.com:", "A.B", "1", "A-B", ";&=#?", "a\u00a0", "ключ")
	f.Fuzz(func(t *testing.T, endpoint, name1, value1, name2, value2, token, secret string) {
		c := Credentials{AccessKeyID: "id", AccessKeySecret: secret, SecurityToken: token}
		target, err := parseEndpoint(endpoint)
		if err != nil || c.check() != nil || strings.ContainsFunc(token, unicode.IsControl) {
			return // New, the call or net/http refuses it
		}
		params := url.Values{}
		params.Set(name1, value1)
		params.Set(name2, value2)
		target.RawQuery = canonicalQuery(params)
		r := &http.Request{Method: http.MethodPost, URL: &target, Header: http.Header{"Accept": {"application/json"}}}
		r.Header.Set("x-acs-action", "CreateInstance")
		r.Header.Set("x-acs-version", Version)
		sign(r, c, time.Unix(1767323045, 0), "00000000000000000000000000000001")
		var wire strings.Builder
		if err := r.Write(&wire); err != nil {
			t.Fatal(err)
		}

		canonical, signed, authorization := asAServer(wire.String())
		hash := sha256.Sum256([]byte(canonical))
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "ACS3-HMAC-SHA256\n%x", hash)
		want := fmt.Sprintf("ACS3-HMAC-SHA256 Credential=id,SignedHeaders=%s,Signature=%x", signed, mac.Sum(nil))
		if authorization != want {
			ours, _ := canonicalRequest(r)
			t.Fatalf("Authorization:\n got %s\nwant %s\nsigned   %q\non the wire %q", authorization, want, ours, canonical)
		}
	})
}

// asAServer makes the canonical request of a request's text.
func asAServer(wire string) (canonical, signed, authorization string) {
	top, _, _ := strings.Cut(wire, "\r\n\r\n")
	lines := strings.Split(top, "\r\n")
	first := strings.Split(lines[0], " ")
	path, query, _ := strings.Cut(first[1], "?")
	var pairs [][2]string
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, [2]string{unescape(name), unescape(value)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	encoded := make([]string, len(pairs))
	for i, p := range pairs {
		encoded[i] = rfc3986(p[0]) + "=" + rfc3986(p[1])
	}
	headers := map[string]string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case name == "authorization":
			authorization = value
		case name == "host", name == "content-type", strings.HasPrefix(name, "x-acs-"):
			headers[name] = value
		}
	}
	names := slices.Sorted(maps.Keys(headers))
	text := first[0] + "\n" + path + "\n" + strings.Join(encoded, "&") + "\n"
	for _, name := range names {
		text += name + ":" + headers[name] + "\n"
	}
	signed = strings.Join(names, ";")
	return text + "\n" + signed + "\n" + fmt.Sprintf("%x", sha256.Sum256(nil)), signed, authorization
}

// unescape reads %XX and nothing else: a plus sign is one.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		var c byte
		if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
			panic(err)
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String()
}

func rfc3986(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func TestNoncesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		nonce := newNonce()
		if len(nonce) != 32 || seen[nonce] {
			t.Fatalf("nonce %q: too short, or used", nonce)
		}
		seen[nonce] = true
	}
}

func BenchmarkSign(b *testing.B) {
	query := canonicalQuery(CreateInstanceRequest{
		ChannelType: "VIBER", InstanceName: "viber_ins", InstanceDescription: "ins", ContactMail: "a@example.com",
		CountryID: "1", FacebookBmID: "393992929", IsvTerms: "https://a.com/1.pdf", IsConfirmAudit: "Y",
	}.params())
	c := Credentials{AccessKeyID: "YourAccessKeyId", AccessKeySecret: "YourAccessKeySecret"}
	b.ReportAllocs()
	for b.Loop() {
		r := &http.Request{
			Method: http.MethodPost, Host: "cams.ap-southeast-1.aliyuncs.com",
			URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{},
		}
		sign(r, c, time.Now(), newNonce())
	}
}
