// What the teacher tells Prometheus: docs/metrics/teacher.md lists it.
//
// Threads: safe for all. Reads the statistics that are kept anyway, when asked.
#pragma once

#include <prometheus/collectable.h>

#include <vector>

#include "common/rpc/server.h"
#include "teacher_service/rpc/stream_service.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

class TeacherMetrics final : public prometheus::Collectable {
 public:
  // All must outlive this.
  TeacherMetrics(TeacherHost* host, const StreamService* streams, const RpcServer* server)
      : host_(host), streams_(streams), server_(server) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  TeacherHost* const host_;
  const StreamService* const streams_;
  const RpcServer* const server_;
};

}  // namespace distillery
