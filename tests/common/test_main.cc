// main() of all test programs.
#include <gmock/gmock.h>

namespace distillery {

// common/rpc/initialise.h; null in a program that has no channels and no servers.
__attribute__((weak)) void InitialiseRpc();

}  // namespace distillery

int main(int argc, char** argv) {
  if (distillery::InitialiseRpc != nullptr) distillery::InitialiseRpc();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
