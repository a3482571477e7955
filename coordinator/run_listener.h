// Whoever watches a run.
#pragma once

namespace distillery {

// Is told that a run has changed; asks for the new state by RunDesk::Get.
class RunListener {
 public:
  virtual ~RunListener() = default;
  virtual void OnRunChanged() = 0;
};

}  // namespace distillery
