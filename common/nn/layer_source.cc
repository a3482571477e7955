#include "common/nn/layer_source.h"

#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace distillery {
namespace {

// layer1.0.conv1 as source: a number is no name there.
std::string Expression(const std::string& name) {
  std::string expression = "self";
  for (const absl::string_view part : absl::StrSplit(name, '.')) {
    const bool number = !part.empty() && absl::ascii_isdigit(static_cast<unsigned char>(part[0]));
    expression = number ? absl::StrCat("getattr(", expression, ", \"", part, "\")")
                        : absl::StrCat(expression, ".", part);
  }
  return expression;
}

std::string Lines(const std::vector<std::string>& lines) {
  std::string source;
  for (const std::string& line : lines) absl::StrAppend(&source, "    ", line, "\n");
  return source;
}

std::string List(const std::vector<int64_t>& numbers) {
  return absl::StrCat("[", absl::StrJoin(numbers, ", "), "]");
}

std::string Convolution(const Layer& layer, const std::string& path) {
  std::string call = absl::StrCat("torch.conv", layer.kernel.size(), "d(", layer.input, ", ", path,
                                  ".weight, ", layer.bias ? path + ".bias" : "None", ", ",
                                  List(layer.stride), ", ", List(layer.padding));
  if (layer.groups > 1) {
    const std::vector<int64_t> dilation(layer.kernel.size(), 1);
    absl::StrAppend(&call, ", ", List(dilation), ", ", layer.groups);
  }
  return call + ")";
}

std::string BatchNorm(const Layer& layer, const std::string& path) {
  return Lines(
      // A user may put one layer in eval mode, so its own flag counts.
      {absl::StrCat("if ", path, ".training:"),
       absl::StrCat("    ", path, ".num_batches_tracked.add_(1)"),
       absl::StrCat(layer.output, " = torch.batch_norm(", layer.input, ", ", path, ".weight, ",
                    path, ".bias, ", path, ".running_mean, ", path, ".running_var, ", path,
                    ".training, ", kBatchNormMomentum, ", ", kBatchNormEpsilon, ", True)")});
}

// Queries, keys and values are [batch, heads, length, out / heads], scores [batch, heads, length,
// length].
std::string Attention(const Layer& layer, const std::string& path) {
  const std::string& x = layer.input;
  const int64_t head = layer.out / layer.heads;
  std::vector<std::string> lines{
      absl::StrCat("qkv = torch.linear(", x, ", ", path, ".in_proj_weight, ", path,
                   ".in_proj_bias).reshape([", x, ".size(0), ", x, ".size(1), 3, ", layer.heads,
                   ", ", head, "]).permute([2, 0, 3, 1, 4])"),
      absl::StrFormat("query = torch.select(qkv, 0, 0) * %.17g",
                      1 / std::sqrt(static_cast<double>(head))),
      "scores = torch.matmul(query, torch.select(qkv, 0, 1).transpose(-2, -1))"};
  if (layer.causal) {
    lines.push_back(absl::StrCat("places = torch.arange(", x, ".size(1), device=", x, ".device)"));
    lines.push_back(
        absl::StrCat("scores = torch.masked_fill(scores, torch.gt(places, places.unsqueeze(-1)), ",
                     kHiddenScore, ")"));
  }
  if (!layer.mask.empty()) {
    lines.push_back(absl::StrCat("scores = torch.masked_fill(scores, torch.eq(", layer.mask,
                                 ", 0).unsqueeze(1).unsqueeze(1), ", kHiddenScore, ")"));
  }
  lines.push_back(absl::StrCat(
      "mixed = torch.matmul(torch.softmax(scores, -1), torch.select(qkv, 0, 2)).transpose(1, 2)"));
  lines.push_back(absl::StrCat(layer.output, " = torch.linear(mixed.reshape([", x, ".size(0), ", x,
                               ".size(1), ", layer.out, "]), ", path, ".out_proj.weight, ", path,
                               ".out_proj.bias)"));
  return Lines(lines);
}

std::string Gru(const Layer& layer, const std::string& path) {
  std::vector<std::string> tensors;
  for (const char* const part : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
    tensors.push_back(absl::StrCat(path, ".", part, "_l", layer.number));
  }
  const std::string& x = layer.input;
  return Lines(
      {absl::StrCat("start = torch.zeros([1, ", x, ".size(0), ", layer.out, "], dtype=", x,
                    ".dtype, device=", x, ".device)"),
       absl::StrCat(layer.output, " = torch.gru(", x, ", start, [", absl::StrJoin(tensors, ", "),
                    "], True, 1, 0.0, self.training, False, True)[0]")});
}

std::string MeanPosition(const Layer& layer) {
  const std::string& x = layer.input;
  if (layer.mask.empty()) return Lines({absl::StrCat(layer.output, " = torch.mean(", x, ", [1])")});
  return Lines(
      {absl::StrCat("counts = torch.ne(", layer.mask, ", 0).to(", x, ".dtype).unsqueeze(-1)"),
       absl::StrCat(layer.output, " = torch.sum(", x,
                    " * counts, [1]) / torch.clamp_min(torch.sum(counts, [1]), 1)")});
}

// By multiplication, whose gradient is the same on every device; that of an index is a sum in no
// fixed order.
std::string LastPosition(const Layer& layer) {
  const std::string& x = layer.input;
  if (layer.mask.empty())
    return Lines({absl::StrCat(layer.output, " = torch.select(", x, ", 1, -1)")});
  return Lines(
      {absl::StrCat("places = torch.arange(", x, ".size(1), device=", x, ".device)"),
       absl::StrCat("last = torch.amax(places * torch.ne(", layer.mask, ", 0), [1], True)"),
       absl::StrCat(layer.output, " = torch.sum(", x, " * torch.eq(places, last).to(", x,
                    ".dtype).unsqueeze(-1), [1])")});
}

}  // namespace

std::string LayerSource(const Layer& layer) {
  const std::string& x = layer.input;
  const std::string path = Expression(layer.name);
  const auto give = [&](const std::string& value) {
    return Lines({absl::StrCat(layer.output, " = ", value)});
  };
  switch (layer.kind) {
    case Layer::Kind::kFlatten:
      return give(absl::StrCat("torch.flatten(", x, ", 1)"));
    case Layer::Kind::kRelu:
      return give(absl::StrCat("torch.relu(", x, ")"));
    case Layer::Kind::kRelu6:
      return give(absl::StrCat("torch.hardtanh(", x, ", 0, 6)"));
    case Layer::Kind::kGelu:
      return give(absl::StrCat("torch.gelu(", x, ")"));
    case Layer::Kind::kMaxPool:
      return give(absl::StrCat("torch.max_pool", layer.kernel.size(), "d(", x, ", ",
                               List(layer.kernel), ")"));
    case Layer::Kind::kUpsample:
      return give(absl::StrCat("torch.upsample_nearest2d(", x, ", [2 * ", x, ".size(2), 2 * ", x,
                               ".size(3)])"));
    case Layer::Kind::kGlobalAveragePool:
      return give(absl::StrCat("torch.adaptive_avg_pool2d(", x, ", [1, 1])"));
    case Layer::Kind::kMeanOverLength:
      return give(absl::StrCat("torch.mean(", x, ", [2])"));
    case Layer::Kind::kPixelsAsPositions:
      return give(absl::StrCat("torch.flatten(", x, ", 2).transpose(1, 2)"));
    case Layer::Kind::kAdd:
      return give(absl::StrCat(x, " + ", layer.addend));
    case Layer::Kind::kConcat:
      return give(absl::StrCat("torch.cat([", x, ", ", layer.addend, "], 1)"));
    case Layer::Kind::kPermute:
      return give(absl::StrCat("torch.permute(", x, ", ", List(layer.order), ")"));
    case Layer::Kind::kAppendSize:
      return give(absl::StrCat("torch.unsqueeze(", x, ", -1)"));
    case Layer::Kind::kDropout:
      return give(absl::StrCat("torch.dropout(", x, ", ", layer.rate, ", self.training)"));
    case Layer::Kind::kLinear:
    case Layer::Kind::kPositionLinear:
      return give(absl::StrCat("torch.linear(", x, ", ", path, ".weight, ", path, ".bias)"));
    case Layer::Kind::kConvolution:
      return give(Convolution(layer, path));
    case Layer::Kind::kBatchNorm:
      return BatchNorm(layer, path);
    case Layer::Kind::kLayerNorm:
      return give(absl::StrCat("torch.layer_norm(", x, ", [", layer.out, "], ", path, ".weight, ",
                               path, ".bias, ", kLayerNormEpsilon, ")"));
    case Layer::Kind::kEmbedding:
      return give(absl::StrCat("torch.embedding(", path, ".weight, ", x, ")"));
    case Layer::Kind::kAddPositions:
      return give(absl::StrCat(x, " + ", path, ".weight"));
    case Layer::Kind::kAttention:
      return Attention(layer, path);
    case Layer::Kind::kGru:
      return Gru(layer, path);
    case Layer::Kind::kMeanPosition:
      return MeanPosition(layer);
    case Layer::Kind::kLastPosition:
      return LastPosition(layer);
  }
  return "";
}

}  // namespace distillery
