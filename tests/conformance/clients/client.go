// A client of Go's standard library alone. net/http repeats a request by itself on another connection when the kept one
// turns out to be dead before anything was written and, where an Idempotency-Key says that it may, when it ends before the
// answer. That repeat carries the same token. One line of JSON per answer.
package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"time"
)

var key *rsa.PrivateKey

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func uuid() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func part(document any) string {
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(document)))
}

func token() string {
	now := time.Now().Unix()
	text := part(map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{"iat": now, "exp": now + 55, "jti": uuid()})
	digest := sha256.Sum256([]byte(text))
	signature := must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:]))
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func call(method, url string, body any, headers map[string]string) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(must(json.Marshal(body)))
	}
	request := must(http.NewRequest(method, url, reader))
	request.Header.Set("X-BitGo-Signature", token())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer := must(http.DefaultClient.Do(request))
	text := must(io.ReadAll(answer.Body))
	answer.Body.Close()
	fmt.Println(string(must(json.Marshal(map[string]any{"status": answer.StatusCode, "text": string(text)}))))
}

func main() {
	http.DefaultClient.Timeout = 30 * time.Second
	block, _ := pem.Decode(must(os.ReadFile(os.Args[2])))
	key = must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
	url, id := os.Args[1]+"/bitgo/v1", uuid()
	quantity := new(big.Int).Add(new(big.Int).Exp(big.NewInt(10), big.NewInt(21), nil), big.NewInt(1))
	reserve := map[string]any{
		"allocationId": id, "clientId": uuid(), "connectionId": uuid(), "partnersConnectionId": "account-7",
		"amount": map[string]any{"currency": "ETH", "quantity": quantity},
	}
	call("POST", url+"/allocations", reserve, nil)
	cut := map[string]string{"Idempotency-Key": id, "X-Proxy": "cut"}
	call("PUT", url+"/allocation/"+id+"/clear", nil, cut)
	call("PUT", url+"/allocation/"+id+"/clear", nil, map[string]string{"X-Proxy": "close"})
	time.Sleep(time.Second) // the end of the kept connection has been seen by then
	call("PUT", url+"/allocation/"+id+"/clear", nil, nil)
}
