#include "tests/benchmarks/bare_forward.h"

#include <torch/script.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/model/architecture.h"
#include "common/model/model_file.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

constexpr ImageShape kShape{1, 28, 28};
constexpr int64_t kClasses = 10;
constexpr int64_t kInputRows = 8192;
constexpr float kMean = 0.5F;
constexpr float kDeviation = 0.25F;

class TorchForward : public BareForward {
 public:
  explicit TorchForward(torch::jit::Module module)
      : module_(std::move(module)),
        // Pixels as the service's clients send them, normalised beforehand: the branches of max pooling
        // take as long as their data is hard to predict.
        inputs_(torch::randint(0, 256, {kInputRows, kShape.channels, kShape.height, kShape.width})
                    .div(255)
                    .sub(kMean)
                    .div(kDeviation)) {}

  int64_t Run(int64_t batch_rows, int threads, double seconds) override {
    std::atomic<int64_t> rows{0};
    std::vector<std::thread> running;
    const absl::Time end = absl::Now() + absl::Seconds(seconds);
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { rows += RunThread(batch_rows, i, end); });
    }
    for (std::thread& thread : running) thread.join();
    return rows;
  }

 private:
  int64_t RunThread(int64_t batch_rows, int thread, absl::Time end) {
    ConfigureTorch(/*compute_threads=*/1);
    const c10::InferenceMode inference;
    int64_t rows = 0;
    int64_t first = thread * batch_rows % kInputRows;
    while (absl::Now() < end) {
      // [batch_rows, channels, height, width] -> [batch_rows, classes]
      module_.forward({inputs_.narrow(0, first, batch_rows)});
      rows += batch_rows;
      first = (first + batch_rows) % kInputRows;
    }
    return rows;
  }

  torch::jit::Module module_;
  const at::Tensor inputs_;
};

}  // namespace

absl::Status WriteModelFile(const std::string& path, const std::string& architecture) {
  DISTILLERY_ASSIGN_OR_RETURN(const torch::jit::Module module,
                              BuildArchitecture(architecture, kShape, kClasses, /*seed=*/1));
  ModelCard card;
  card.architecture = architecture;
  card.input_shape = kShape;
  card.mean = {kMean};
  card.deviation = {kDeviation};
  card.class_names = NumberedClassNames(kClasses);
  return SaveModel(path, module, card);
}

absl::StatusOr<std::unique_ptr<BareForward>> BareForward::Load(const std::string& model_path) {
  ConfigureTorch(/*compute_threads=*/1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(model_path));
  return std::make_unique<TorchForward>(std::move(model.module));
}

}  // namespace distillery
