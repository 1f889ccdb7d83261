// Signs one digest with Notation's own library, as `notation sign` does, with an authority made for this, and prints what
// signatures.json holds. In an empty directory beside this file's copy:
//
//	go mod init signatures && go get github.com/notaryproject/notation-core-go@v1.3.0 && go run . > signatures.json
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
)

type signed struct {
	Name, MediaType string
	Envelope        []byte
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	digest := "sha256:" + strings.Repeat("a", 64)
	payload := must(json.Marshal(map[string]any{"targetArtifact": map[string]any{
		"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}}))
	from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2119, 1, 1, 0, 0, 0, 0, time.UTC)
	name := pkix.Name{Country: []string{"AQ"}, Province: []string{"Ross"}, Organization: []string{"Penguins"}, CommonName: "authority"}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: from, NotAfter: to, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key))))
	keys := map[string]crypto.Signer{
		"rsa-2048": must(rsa.GenerateKey(rand.Reader, 2048)), "rsa-3072": must(rsa.GenerateKey(rand.Reader, 3072)),
		"ec-256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ec-384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ec-521": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	}
	var all []signed
	for kind, own := range keys {
		name.CommonName = "signer " + kind
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: name, NotBefore: from, NotAfter: to,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
		certificate := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, leaf, root, own.Public(), key))))
		signer := must(signature.NewLocalSigner([]*x509.Certificate{certificate, root}, own))
		for _, scheme := range []signature.SigningScheme{signature.SigningSchemeX509, signature.SigningSchemeX509SigningAuthority} {
			for _, mediaType := range []string{jws.MediaTypeEnvelope, cose.MediaTypeEnvelope} {
				request := &signature.SignRequest{
					Payload: signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: payload},
					Signer:  signer, SigningTime: time.Now(), SigningScheme: scheme, SigningAgent: "testdata",
				}
				if kind == "ec-256" {
					request.Expiry = to
				}
				made := must(must(signature.NewEnvelope(mediaType)).Sign(request))
				all = append(all, signed{kind + " " + string(scheme), mediaType, made})
			}
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	encoder.Encode(map[string]any{"digest": digest, "signatures": all,
		"root": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))})
}
