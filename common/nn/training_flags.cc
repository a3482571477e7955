#include "common/nn/training_flags.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <unordered_map>
#include <utility>

namespace distillery {
namespace {

namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;
using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

struct Operation {
  FlaggedLayer::Kind kind;
  // Names of arguments in the operator's schema; "": it has none.
  const char* flag;
  const char* rate;
};

// By the operator's name without a last underscore, which stands for "in place".
const Operation* Find(const std::string& name) {
  using Kind = FlaggedLayer::Kind;
  static const auto* const known = new std::unordered_map<std::string, Operation>{
      {"aten::dropout", {Kind::kDropout, "train", "p"}},
      {"aten::feature_dropout", {Kind::kDropout, "train", "p"}},
      {"aten::alpha_dropout", {Kind::kDropout, "train", "p"}},
      {"aten::feature_alpha_dropout", {Kind::kDropout, "train", "p"}},
      {"aten::native_dropout", {Kind::kDropout, "train", "p"}},
      {"aten::rrelu", {Kind::kDropout, "training", ""}},
      {"aten::lstm", {Kind::kDropout, "train", "dropout"}},
      {"aten::gru", {Kind::kDropout, "train", "dropout"}},
      {"aten::rnn_tanh", {Kind::kDropout, "train", "dropout"}},
      {"aten::rnn_relu", {Kind::kDropout, "train", "dropout"}},
      {"aten::batch_norm", {Kind::kNorm, "training", ""}},
      {"aten::native_batch_norm", {Kind::kNorm, "training", ""}},
      {"aten::cudnn_batch_norm", {Kind::kNorm, "training", ""}},
      {"aten::instance_norm", {Kind::kNorm, "use_input_stats", ""}},
  };
  const auto found = known->find(name.back() == '_' ? name.substr(0, name.size() - 1) : name);
  return found == known->end() ? nullptr : &found->second;
}

using Known = std::optional<c10::IValue>;

// One call of a function: what is known of its values.
struct Frame {
  std::string module;
  std::unordered_map<const Value*, c10::IValue> known;
  // By each value that passes another on: that other.
  std::unordered_map<const Value*, const Value*> origins;

  Known Get(const Value* value) const {
    const auto found = known.find(value);
    return found == known.end() ? Known() : Known(found->second);
  }
  void Set(const Value* value, const Known& what) {
    if (what.has_value()) known[value] = *what;
  }
  void Pass(const Value* from, const Value* to) {
    Set(to, Get(from));
    origins[to] = from;
  }
};

class Reader {
 public:
  Reader(const torch::jit::Module& module, bool training) : training_(training) {
    for (const auto& part : module.named_modules()) {
      names_[part.value._ivalue().get()] = part.name;
    }
  }

  ForwardReading Read(const torch::jit::Module& module) {
    Call(module.get_method("forward").function(), {c10::IValue(module._ivalue())}, "",
         &reading_.output);
    return std::move(reading_);
  }

 private:
  // The function's first output, as far as it is known; its type goes to `type`, if given.
  Known Call(torch::jit::Function& function, const std::vector<Known>& arguments,
             const std::string& module, c10::TypePtr* type = nullptr) {
    torch::jit::GraphFunction* const code = torch::jit::tryToGraphFunction(function);
    if (code == nullptr) return std::nullopt;
    code->ensure_defined();
    const auto graph = code->graph();
    Frame frame;
    frame.module = module;
    for (size_t i = 0; i < arguments.size() && i < graph->inputs().size(); ++i) {
      frame.Set(graph->inputs()[i], arguments[i]);
    }
    Visit(graph->block(), &frame);
    if (graph->outputs().empty()) return std::nullopt;
    const Value* output = graph->outputs()[0];
    const Known result = frame.Get(output);
    for (auto origin = frame.origins.find(output); origin != frame.origins.end();
         origin = frame.origins.find(output)) {
      output = origin->second;
    }
    if (type != nullptr) *type = output->type();
    return result;
  }

  void Visit(const Block* block, Frame* frame) {
    for (const Node* const node : block->nodes()) VisitNode(node, frame);
  }

  void VisitNode(const Node* node, Frame* frame) {
    switch (node->kind()) {
      case prim::Constant:
        // A function is a constant without a value.
        if (const auto value = torch::jit::toIValue(node->output())) {
          frame->Set(node->output(), *value);
        }
        return;
      case prim::GetAttr:
        return VisitAttribute(node, frame);
      case prim::If:
        return VisitIf(node, frame);
      case prim::CallMethod:
        return VisitMethod(node, frame);
      case prim::CallFunction: {
        const auto type = node->input(0)->type()->cast<c10::FunctionType>();
        if (type == nullptr) return;
        frame->Set(node->output(),
                   Call(*type->function(), Arguments(node, 1, *frame), frame->module));
        return;
      }
      case prim::unchecked_cast:
      case prim::unchecked_unwrap_optional:
        return frame->Pass(node->input(0), node->output());
      case torch::jit::aten::__not__:
        if (const Known value = frame->Get(node->input(0)); value.has_value() && value->isBool()) {
          frame->Set(node->output(), c10::IValue(!value->toBool()));
        }
        return;
      default:
        break;
    }
    // In loops and the like, values that come from the round before are not known.
    for (const Block* const inner : node->blocks()) Visit(inner, frame);
    if (const Operation* const operation = Find(node->kind().toQualString())) {
      AddLayer(node, *operation, *frame);
    }
  }

  void VisitAttribute(const Node* node, Frame* frame) const {
    const Known owner = frame->Get(node->input(0));
    if (!owner.has_value() || !owner->isObject()) return;
    const std::string& name = node->s(attr::name);
    const c10::IValue value = owner->toObjectRef().getAttr(name);
    frame->Set(node->output(),
               name == "training" && value.isBool() ? c10::IValue(training_) : value);
  }

  void VisitIf(const Node* node, Frame* frame) {
    const Known condition = frame->Get(node->input(0));
    const auto blocks = node->blocks();
    if (condition.has_value() && condition->isBool()) {
      const Block* const chosen = blocks[condition->toBool() ? 0 : 1];
      Visit(chosen, frame);
      for (size_t i = 0; i < node->outputs().size(); ++i) {
        frame->Pass(chosen->outputs()[i], node->outputs()[i]);
      }
      return;
    }
    for (const Block* const block : blocks) Visit(block, frame);
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      const Known a = frame->Get(blocks[0]->outputs()[i]);
      const Known b = frame->Get(blocks[1]->outputs()[i]);
      if (a.has_value() && b.has_value() && a->isBool() && b->isBool() &&
          a->toBool() == b->toBool()) {
        frame->Set(node->outputs()[i], a);
      }
    }
  }

  void VisitMethod(const Node* node, Frame* frame) {
    const Known owner = frame->Get(node->input(0));
    std::string module = frame->module;
    auto type = node->input(0)->type()->cast<c10::ClassType>();
    if (owner.has_value() && owner->isObject()) {
      type = owner->toObjectRef().type();
      const auto name = names_.find(&owner->toObjectRef());
      if (name != names_.end()) module = name->second;
    }
    if (type == nullptr) return;
    torch::jit::Function* const method = type->findMethod(node->s(attr::name));
    if (method == nullptr) return;
    const Known result = Call(*method, Arguments(node, 0, *frame), module);
    if (!node->outputs().empty()) frame->Set(node->outputs()[0], result);
  }

  static std::vector<Known> Arguments(const Node* node, size_t first, const Frame& frame) {
    std::vector<Known> arguments;
    for (size_t i = first; i < node->inputs().size(); ++i) {
      arguments.push_back(frame.Get(node->input(i)));
    }
    return arguments;
  }

  void AddLayer(const Node* node, const Operation& operation, const Frame& frame) {
    const c10::FunctionSchema* const schema = node->maybeSchema();
    if (schema == nullptr) return;
    const auto argument = [&](const char* name) -> Known {
      const auto index = schema->argumentIndexWithName(name);
      if (!index.has_value()) return std::nullopt;
      return frame.Get(node->input(static_cast<size_t>(*index)));
    };
    const auto tensor = [&](const char* name) {
      const Known value = argument(name);
      return value.has_value() && value->isTensor() ? value->toTensor() : at::Tensor();
    };
    FlaggedLayer layer;
    layer.kind = operation.kind;
    layer.operation = std::string(node->kind().toUnqualString());
    layer.module = frame.module;
    const Known flag = argument(operation.flag);
    if (flag.has_value() && flag->isBool()) layer.training = flag->toBool();
    const Known rate = argument(operation.rate);
    if (rate.has_value() && rate->isDouble()) layer.rate = rate->toDouble();
    if (layer.kind == FlaggedLayer::Kind::kNorm) {
      layer.weight = tensor("weight");
      layer.bias = tensor("bias");
      const Known statistics = argument("running_mean");
      layer.has_statistics = !statistics.has_value() || !statistics->isNone();
    }
    reading_.layers.push_back(std::move(layer));
  }

  const bool training_;
  std::unordered_map<const c10::ivalue::Object*, std::string> names_;
  ForwardReading reading_;
};

}  // namespace

ForwardReading ReadForward(const torch::jit::Module& module, bool training) {
  return Reader(module, training).Read(module);
}

}  // namespace distillery
