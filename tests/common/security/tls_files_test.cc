#include "common/security/tls_files.h"

#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/security/certificate_folder.h"
#include "tests/common/log_lines.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TlsFilesTest : public ::testing::Test {
 protected:
  void Make(int64_t days = 100, absl::Time now = absl::Now()) {
    CertificateFolderOptions options;
    options.folder = folder_.path();
    options.roles = {Role::kWorker, Role::kReader};
    options.days = days;
    options.force = true;
    ASSERT_THAT(FillCertificateFolder(options, now), IsOk());
  }
  void Copy(const std::string& from, const std::string& to) {
    ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder_.File(from), 1 << 20));
    ASSERT_THAT(WriteFileDurably(folder_.File(to), text), IsOk());
  }
  TlsPaths Paths() const {
    return {folder_.File("worker.pem"), folder_.File("worker-key.pem"), folder_.File("ca.pem")};
  }
  TemporaryFolder folder_;
};

TEST_F(TlsFilesTest, Fault47_AnExpiredCertificateSaysHowToMakeANewOne) {
  Make(1, absl::Now() - absl::Hours(48));
  EXPECT_THAT(
      ReadTlsFiles(Paths(), absl::Now()),
      StatusIs(kPrecondition,
               AllOf(HasSubstr("worker.pem: the certificate expired at"),
                     HasSubstr("distillery certificates create DIR --force --role worker"))));
}

TEST_F(TlsFilesTest, Fault47_ACertificateOfTomorrowNamesBothTimes) {
  Make();
  EXPECT_THAT(ReadTlsFiles(Paths(), absl::Now() - absl::Hours(24)),
              StatusIs(kPrecondition, HasSubstr("is valid from")));
}

TEST_F(TlsFilesTest, Fault47_FilesThatDoNotGoTogetherAreNamed) {
  Make();
  TlsPaths paths = Paths();
  paths.key = folder_.File("reader-key.pem");
  EXPECT_THAT(ReadTlsFiles(paths, absl::Now()),
              StatusIs(kPrecondition, AllOf(HasSubstr("reader-key.pem: not the key of"),
                                            HasSubstr("worker.pem"))));
  paths = Paths();
  paths.certificate = folder_.File("worker-key.pem");
  EXPECT_THAT(ReadTlsFiles(paths, absl::Now()),
              StatusIs(kPrecondition, HasSubstr("worker-key.pem: no certificate")));
  paths = Paths();
  paths.key = folder_.File("worker.pem");
  EXPECT_THAT(ReadTlsFiles(paths, absl::Now()),
              StatusIs(kPrecondition, HasSubstr("worker.pem: no private key")));
  paths = Paths();
  paths.ca = folder_.File("README.txt");
  EXPECT_THAT(ReadTlsFiles(paths, absl::Now()),
              StatusIs(kPrecondition, HasSubstr("README.txt: no authority")));
  paths.ca = folder_.File("none.pem");
  EXPECT_THAT(ReadTlsFiles(paths, absl::Now()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.pem")));
}

TEST_F(TlsFilesTest, AreReadAnewWhenTheyChange) {
  Make();
  ASSERT_OK_AND_ASSIGN(const auto watch, TlsFileWatch::Open(Paths()));
  const auto before = watch->Get();
  EXPECT_EQ(watch->Get(), before);
  Make();
  const auto after = watch->Get();
  EXPECT_NE(after, before);
  EXPECT_NE(after->certificate, before->certificate);
  EXPECT_EQ(watch->Get(), after);
}

TEST_F(TlsFilesTest, StayAsTheyWereUntilTheNewOnesGoTogether) {
  Make();
  ASSERT_OK_AND_ASSIGN(const auto watch, TlsFileWatch::Open(Paths()));
  const auto before = watch->Get();
  LogLines lines;
  Copy("reader-key.pem", "worker-key.pem");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(watch->Get(), before);
  EXPECT_THAT(lines.Of("warning"),
              ElementsAre(AllOf(HasSubstr("not the key of"), HasSubstr("stays in use"))));
  // Half written.
  ASSERT_THAT(WriteFileDurably(folder_.File("worker.pem"), before->certificate.substr(0, 300)),
              IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(watch->Get(), before);
  ASSERT_THAT(RemoveFile(folder_.File("worker.pem")), IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(watch->Get(), before);
  EXPECT_EQ(lines.Of("warning").size(), 3);
  Copy("reader.pem", "worker.pem");
  const auto after = watch->Get();
  EXPECT_NE(after, before);
  EXPECT_EQ(after->info.identity->role, Role::kReader);
  EXPECT_EQ(lines.Of("warning").size(), 3);
}

TEST_F(TlsFilesTest, ThatEndSoonAreWarnedOf) {
  LogLines lines;
  Make();
  ASSERT_THAT(TlsFileWatch::Open(Paths()), IsOk());
  EXPECT_THAT(lines.Of("warning"), IsEmpty());
  // By an authority of that time: today's did not exist yet.
  ASSERT_THAT(RemoveFile(folder_.File("ca.pem")), IsOk());
  ASSERT_THAT(RemoveFile(folder_.File("ca-key.pem")), IsOk());
  Make(/*days=*/100, absl::Now() - absl::Hours(24 * 92));
  ASSERT_THAT(TlsFileWatch::Open(Paths()), IsOk());
  EXPECT_THAT(lines.Of("warning"), ElementsAre(HasSubstr("expires at")));
}

}  // namespace
}  // namespace distillery
