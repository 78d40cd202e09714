package oracle

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/darabonba-openapi/v2/models"
	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// official is the Authorization that the vendor's core gives a request.
func official(r *http.Request, c cams.Credentials) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	request := &dara.Request{
		Method:   &r.Method,
		Pathname: &r.URL.Path,
		Headers:  map[string]*string{"host": &host},
		Query:    map[string]*string{},
	}
	for name := range r.Header {
		request.Headers[strings.ToLower(name)] = dara.String(r.Header.Get(name))
	}
	delete(request.Headers, "authorization")
	for name := range r.URL.Query() {
		request.Query[name] = dara.String(r.URL.Query().Get(name))
	}
	payload := r.Header.Get("x-acs-content-sha256")
	return dara.StringValue(utils.GetAuthorization(request, dara.String("ACS3-HMAC-SHA256"), &payload, &c.AccessKeyID, &c.AccessKeySecret))
}

func TestAuthorizationAgreesWithTheVendorOnRandomRequests(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 20_000 {
		r, c := randomRequest(random)
		if got, want := cams.Authorization(r, c), official(r, c); got != want {
			t.Fatalf("seed %d, request %d: %s %v\n got %s\nwant %s", seed, i, r.URL, r.Header, got, want)
		}
	}
}

var createParams = []string{
	"ChannelType", "InstanceName", "InstanceDescription", "ResourceGroupId", "OfficeAddress",
	"ContactMail", "CountryId", "FacebookBmId", "IsvTerms", "IsConfirmAudit",
}

func randomRequest(random *rand.Rand) (*http.Request, cams.Credentials) {
	values := url.Values{}
	for _, name := range createParams {
		if random.IntN(2) == 0 {
			values.Set(name, randomText(random))
		}
	}
	c := cams.Credentials{AccessKeyID: randomKey(random), AccessKeySecret: randomKey(random)}
	r := &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "https", Host: "cams.ap-southeast-1.aliyuncs.com", Path: "/", RawQuery: values.Encode()},
		Header: http.Header{},
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("x-acs-action", []string{"CreateInstance", "ListInstance"}[random.IntN(2)])
	r.Header.Set("x-acs-version", cams.Version)
	r.Header.Set("x-acs-date", fmt.Sprintf("20%02d-%02d-%02dT03:04:05Z", random.IntN(100), 1+random.IntN(12), 1+random.IntN(28)))
	r.Header.Set("x-acs-signature-nonce", randomKey(random))
	r.Header.Set("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if random.IntN(2) == 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // signed if sent
	}
	if random.IntN(2) == 0 {
		r.Header.Set("x-acs-accesskey-id", c.AccessKeyID)
		r.Header.Set("x-acs-security-token", randomKey(random)+"/+=="+randomKey(random))
	}
	return r, c
}

func randomText(random *rand.Rand) string {
	letters := []rune("aZ09-_.~ +*/%&=?#;:@!$'()[],<>\"\\^`{|}\t\nßéşЖ中🙂")
	var b strings.Builder
	for range random.IntN(20) {
		b.WriteRune(letters[random.IntN(len(letters))])
	}
	return b.String()
}

func randomKey(random *rand.Rand) string {
	return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
}

// What goes over the wire is compared too: the whole of the client, not the signer alone.
func TestTheClientsRequestsAreSignedAsTheVendorWould(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, token := range []string{"", "token/+=="} {
		c := cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret", SecurityToken: token}
		seen := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen++
			if got, want := r.Header.Get("Authorization"), officialOnWire(r, c); got != want {
				t.Errorf("%s\n got %s\nwant %s", r.URL, got, want)
			}
			_, _ = io.WriteString(w, `{"Code":"OK","Data":{"InstanceId":"1"}}`)
		}))
		ours, err := cams.New(cams.Config{Endpoint: s.URL, Credentials: cams.StaticCredentials(c)})
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			_, err := ours.CreateInstance(t.Context(), cams.CreateInstanceRequest{
				ChannelType: "VIBER", InstanceName: randomText(random), InstanceDescription: randomText(random),
				OfficeAddress: randomText(random), ContactMail: randomText(random), IsvTerms: randomText(random),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		ours.CloseIdleConnections()
		s.Close()
		if seen != 200 {
			t.Errorf("got %d requests, want 200", seen)
		}
	}
}

// officialOnWire leaves out the headers that came with the transport.
func officialOnWire(r *http.Request, c cams.Credentials) string {
	plain := *r
	plain.Header = http.Header{}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Acs-") {
			plain.Header.Set(name, r.Header.Get(name))
		}
	}
	return official(&plain, c)
}

func TestTheVendorsClientIsUnderstoodByCamstest(t *testing.T) {
	for _, token := range []string{"", "token"} {
		config := camstest.Config{Calm: true}
		if token != "" {
			config.Tokens = map[string]string{camstest.KeyID: token}
		}
		s := camstest.New(config)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		theirs, err := client.NewClient(&models.Config{
			AccessKeyId:     dara.String(camstest.KeyID),
			AccessKeySecret: dara.String(camstest.KeySecret),
			SecurityToken:   dara.String(token),
			Endpoint:        dara.String(strings.TrimPrefix(s.URL(), "http://")),
			Protocol:        dara.String("HTTP"),
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := theirs.CallApi(&models.Params{
			Action: dara.String("CreateInstance"), Version: dara.String(cams.Version), Protocol: dara.String("HTTP"),
			Pathname: dara.String("/"), Method: dara.String("POST"), AuthType: dara.String("AK"), Style: dara.String("RPC"),
			ReqBodyType: dara.String("formData"), BodyType: dara.String("json"),
		}, &models.OpenApiRequest{Query: map[string]*string{
			"ChannelType": dara.String("VIBER"), "InstanceName": dara.String("a name*~/é+"),
		}}, &dara.RuntimeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(answer["body"])
		if err != nil || !strings.Contains(string(body), `"Code":"OK"`) {
			t.Errorf("got %s, %v", body, err)
		}
		if s.Created("a name*~/é+") != 1 || len(s.Violations()) != 0 {
			t.Errorf("got %v, violations %q", s.Instances(), s.Violations())
		}
		s.Close()
	}
}
