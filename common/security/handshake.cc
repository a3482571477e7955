#include "common/security/handshake.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/descriptor.h"
#include "common/security/openssl.h"

namespace distillery {
namespace {

struct Target {
  std::string host;
  std::string port;
};

// The parts of "host:port", "1.2.3.4:7" and "[::1]:7".
Target Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {};
  Target target{address.substr(0, colon), address.substr(colon + 1)};
  if (target.host.size() >= 2 && target.host.front() == '[' && target.host.back() == ']') {
    target.host = target.host.substr(1, target.host.size() - 2);
  }
  return target;
}

// Whether the socket is ready for `events` before `end`.
bool Await(int socket, short events, absl::Duration end) {
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(end - SteadyNow());
    if (left <= 0) return false;
    pollfd polled{socket, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// To the first of the host's addresses that takes a connection; invalid if none does.
Descriptor Connect(const Target& target, absl::Duration end) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found) != 0) {
    return Descriptor();
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, &freeaddrinfo);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Descriptor socket(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) continue;
    if (connect(socket.get(), at->ai_addr, at->ai_addrlen) != 0) {
      if (errno != EINPROGRESS || !Await(socket.get(), POLLOUT, end)) continue;
      int error = 0;
      socklen_t size = sizeof(error);
      getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) continue;
    }
    return socket;
  }
  return Descriptor();
}

// How a step of TLS ended.
enum class Step { kDone, kTimeout, kClosed, kFailed };

// Repeats `step` of the non-blocking `ssl` until it is done; the reason of kFailed is left in
// OpenSSL's queue.
template <typename Call>
Step Drive(SSL* ssl, absl::Duration end, const Call& step) {
  while (true) {
    ERR_clear_error();
    const int result = step();
    if (result > 0) return Step::kDone;
    switch (SSL_get_error(ssl, result)) {
      case SSL_ERROR_WANT_READ:
        if (!Await(SSL_get_fd(ssl), POLLIN, end)) return Step::kTimeout;
        break;
      case SSL_ERROR_WANT_WRITE:
        if (!Await(SSL_get_fd(ssl), POLLOUT, end)) return Step::kTimeout;
        break;
      case SSL_ERROR_SSL:
        if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
          return Step::kClosed;
        }
        return Step::kFailed;
      default:
        return Step::kClosed;
    }
  }
}

absl::Status Wrong(absl::string_view text) { return absl::FailedPreconditionError(text); }

// Whether it is valid for a host, as gRPC checks it.
bool Shows(X509* certificate, const std::string& host) {
  return X509_check_host(certificate, host.c_str(), host.size(), 0, nullptr) == 1 ||
         X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
}

std::string Issuers(const TlsFiles& files) {
  std::vector<std::string> names;
  for (const X509Ptr& authority : ReadPemCertificates(files.ca)) {
    names.push_back(DescribeCertificate(authority.get()).subject);
  }
  return absl::StrJoin(names, ", ");
}

// What is wrong with the server's certificate.
absl::Status CheckServer(SSL* ssl, const HandshakeQuestion& question, const std::string& name) {
  const X509Ptr certificate(SSL_get1_peer_certificate(ssl));
  if (certificate == nullptr) {
    return Wrong(absl::StrCat(question.address, " shows no certificate"));
  }
  const CertificateInfo info = DescribeCertificate(certificate.get());
  const std::string what =
      absl::StrCat("the certificate of ", question.address, " (", WhoseCertificate(info), ")");
  if (const absl::Status valid = CheckValidity(info, absl::Now()); !valid.ok()) {
    return Wrong(absl::StrCat(
        what, " ", std::string(valid.message()),
        ": make a new one there with `distillery "
        "certificates create DIR --force --role ...`; the server takes it without a restart"));
  }
  if (const long result = SSL_get_verify_result(ssl); result != X509_V_OK) {
    if (result == X509_V_ERR_CERT_HAS_EXPIRED) {
      return Wrong(absl::StrCat("the authority of ", what,
                                " has expired: make a new one, and new "
                                "certificates, in another folder"));
    }
    if (result == X509_V_ERR_INVALID_PURPOSE) {
      return Wrong(absl::StrCat(what,
                                " is not a server's: start it with one of the role teacher or "
                                "coordinator"));
    }
    return Wrong(absl::StrCat(what, " is from another authority (", info.issuer,
                              ") than those of --tls-ca (", Issuers(*question.files), "; ",
                              X509_verify_cert_error_string(result),
                              "): give the ca.pem that it was made with"));
  }
  if (!Shows(certificate.get(), name)) {
    return Wrong(absl::StrCat(what, " is for ", absl::StrJoin(info.hosts, ", "), ", not for ", name,
                              ": use one of these names, or make it anew with `distillery "
                              "certificates create DIR --force "
                              "--role ... --hosts ",
                              name, "`"));
  }
  return absl::OkStatus();
}

// What the server thinks of our certificate, from how reading its first word ended: in TLS 1.3 it
// says so after the handshake.
absl::Status CheckOurs(const HandshakeQuestion& question, Step step) {
  if (step != Step::kFailed && step != Step::kClosed) return absl::OkStatus();
  const std::string ours =
      absl::StrCat("this program's certificate (", WhoseCertificate(question.files->info),
                   ", issued by ", question.files->info.issuer, ")");
  const int reason = step == Step::kFailed ? ERR_GET_REASON(ERR_peek_last_error()) : 0;
  if (reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED) {
    return Wrong(absl::StrCat(question.address, " says that ", ours,
                              " has expired: make a new one, or set this machine's clock"));
  }
  return Wrong(absl::StrCat(
      question.address, " refuses ", ours,
      ": it must be signed by an authority of that server's --tls-ca, and be valid by its clock"));
}

enum class Language { kTls, kOther, kUnknown };

// What the peer has shown that it speaks. Bytes that were lost or changed on their way prove
// nothing.
Language LanguageOf(SSL* ssl, Step step) {
  // Its certificate has come: if it broke off then, it does not like ours.
  if (step == Step::kDone || SSL_get0_peer_certificate(ssl) != nullptr) return Language::kTls;
  if (step != Step::kFailed) return Language::kUnknown;
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (reason > SSL_AD_REASON_OFFSET) return Language::kTls;  // an alert
  const bool other = reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
                     reason == SSL_R_PACKET_LENGTH_TOO_LONG;
  return other ? Language::kOther : Language::kUnknown;
}

SslContextPtr MakeContext(const TlsFiles* files) {
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  // Goes on past an unknown authority, so that it can be named.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  if (files == nullptr) return context;
  const std::vector<X509Ptr> chain = ReadPemCertificates(files->certificate);
  const KeyPtr key = ReadPemKey(files->key);
  for (size_t i = 0; i < chain.size(); ++i) {
    if (i == 0) {
      SSL_CTX_use_certificate(context.get(), chain[i].get());
    } else {
      SSL_CTX_add1_chain_cert(context.get(), chain[i].get());
    }
  }
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  X509_STORE* const store = SSL_CTX_get_cert_store(context.get());
  for (const X509Ptr& authority : ReadPemCertificates(files->ca)) {
    X509_STORE_add_cert(store, authority.get());
  }
  // gRPC trusts what it is given, whether it is a root or not.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return context;
}

// `closed`: set if the peer closed the connection where it would have done so for our certificate.
absl::Status AskOnce(const HandshakeQuestion& question, bool* closed) {
  if (absl::StartsWith(question.address, "unix:")) return absl::OkStatus();
  const Target target = Split(question.address);
  const Descriptor socket = Connect(target, SteadyNow() + question.timeout);
  if (!socket.valid()) return absl::OkStatus();
  const SslContextPtr context = MakeContext(question.files);
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), socket.get());
  const std::string name = question.name.empty() ? target.host : question.name;
  SSL_set_tlsext_host_name(ssl.get(), name.c_str());
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // without it gRPC's servers break off
  SSL_set_alpn_protos(ssl.get(), kHttp2, sizeof(kHttp2));
  const Step shaken =
      Drive(ssl.get(), SteadyNow() + question.timeout, [&] { return SSL_connect(ssl.get()); });
  const Language language = LanguageOf(ssl.get(), shaken);
  if (language == Language::kUnknown) return absl::OkStatus();
  if (question.files == nullptr) {
    if (language == Language::kOther) return absl::OkStatus();
    return Wrong(absl::StrCat(
        question.address,
        " speaks TLS, and this program was told to speak plain text: give "
        "--tls-certificate, --tls-key and --tls-ca (`distillery certificates create` makes them)"));
  }
  if (language == Language::kOther) {
    return Wrong(absl::StrCat(
        question.address,
        " speaks plain text, and this program was told to speak TLS: start the "
        "server with --tls-certificate, --tls-key and --tls-ca, or leave them out here"));
  }
  if (shaken == Step::kDone) {
    if (absl::Status server = CheckServer(ssl.get(), question, name); !server.ok()) {
      return server;
    }
    // gRPC's servers speak first.
    char byte = 0;
    const Step read = Drive(ssl.get(), SteadyNow() + question.timeout,
                            [&] { return SSL_read(ssl.get(), &byte, 1); });
    *closed = read == Step::kClosed;
    return CheckOurs(question, read);
  }
  *closed = shaken == Step::kClosed;
  return CheckOurs(question, shaken);
}

}  // namespace

absl::Status AskByHandshake(const HandshakeQuestion& question) {
  // Debian's gRPC sends no alert, it closes the connection; so does a server that goes down, but
  // not again and again.
  constexpr int kTimes = 3;
  absl::Status status;
  for (int i = 0; i < kTimes; ++i) {
    bool closed = false;
    status = AskOnce(question, &closed);
    if (!closed) break;
  }
  return status;
}

}  // namespace distillery
