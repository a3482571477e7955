#include "common/rpc/transport.h"

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(IsLoopback, KnowsTheAddressesOfThisMachine) {
  for (const char* const address : {"127.0.0.1:7", "127.1.2.3:7", "localhost:7", "[::1]:7",
                                    "unix:/tmp/socket", "unix:socket"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
}

TEST(IsLoopback, IsNotTakenInByNamesThatLookAlike) {
  for (const char* const address :
       {"0.0.0.0:7", "[::]:7", "10.0.0.1:7", "example.org:7", "localhost.example.org:7",
        "127.0.0.1.example.org:7", "127.example.org:7", "[::1234]:7", "", ":7"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(Transport, AnAddressWithoutAPortIsSaidToBeOneWhateverElseIsWrongWithIt) {
  TransportOptions insecure;
  insecure.insecure = true;
  for (const TransportOptions& options : {TransportOptions(), insecure}) {
    for (const char* const address : {"127.0.0.1", "localhost", "10.0.0.1", "example.org"}) {
      EXPECT_THAT(CheckTransport(address, options),
                  StatusIs(kInvalid, AllOf(HasSubstr("has no port: write "),
                                           HasSubstr(absl::StrCat(address, ":PORT")))))
          << address;
    }
    EXPECT_THAT(CheckTransport("[::1]", options), StatusIs(kInvalid, HasSubstr("[::1]:PORT")));
    EXPECT_THAT(CheckTransport("::1", options), StatusIs(kInvalid, HasSubstr("without brackets")));
    for (const char* const address : {"127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "a:-1"}) {
      EXPECT_THAT(CheckTransport(address, options),
                  StatusIs(kInvalid, HasSubstr("does not end in a port from 0 to 65535")))
          << address;
    }
  }
  for (const char* const address : {"a:1", "[::1]:1", "unix:/run/x", "dns:///a.example:7001"}) {
    EXPECT_THAT(CheckPort(address), IsOk()) << address;
  }
}

TEST(Transport, LoopbackMayBePlainText) {
  EXPECT_THAT(MakeChannel("127.0.0.1:1", {}), IsOk());
  EXPECT_THAT(MakeServerCredentials("localhost:0", {}), IsOk());
}

TEST(Transport, OtherAddressesNeedTlsOrAnExplicitInsecure) {
  EXPECT_THAT(MakeChannel("10.0.0.1:1", {}), StatusIs(kInvalid, HasSubstr("--tls-certificate")));
  EXPECT_THAT(MakeServerCredentials("0.0.0.0:0", {}), StatusIs(kInvalid, HasSubstr("--insecure")));
  TransportOptions insecure;
  insecure.insecure = true;
  EXPECT_THAT(MakeChannel("10.0.0.1:1", insecure), IsOk());
  EXPECT_THAT(MakeServerCredentials("0.0.0.0:0", insecure), IsOk());
}

TEST(Transport, TlsFilesGoTogether) {
  TransportOptions half;
  half.tls_certificate = "c.pem";
  half.tls_key = "c.key";
  for (const char* const address : {"10.0.0.1:1", "127.0.0.1:1"}) {
    EXPECT_THAT(MakeChannel(address, half), StatusIs(kInvalid, HasSubstr("go together")));
    EXPECT_THAT(MakeServerCredentials(address, half), StatusIs(kInvalid, HasSubstr("go together")));
  }
}

TEST(Transport, MissingTlsFileIsNamed) {
  TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("c.pem"), "x"), IsOk());
  TransportOptions options;
  options.tls_certificate = folder.File("c.pem");
  options.tls_key = folder.File("none.key");
  options.tls_ca = folder.File("c.pem");
  EXPECT_THAT(MakeChannel("10.0.0.1:1", options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.key")));
  EXPECT_THAT(MakeServerCredentials("10.0.0.1:1", options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.key")));
}

}  // namespace
}  // namespace distillery
