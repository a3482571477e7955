#include "teacher_service/rpc/metrics.h"

#include <map>
#include <string>

#include "common/rpc/metric_list.h"

namespace distillery {
namespace {

MetricList::Histogram BatchSizes(const ModelStatistics& model) {
  MetricList::Histogram histogram;
  // The last has no bound.
  for (int i = 0; i < ModelStatistics::kSizeBuckets - 1; ++i) {
    histogram.sample_count += static_cast<uint64_t>(model.batch_sizes[static_cast<size_t>(i)]);
    histogram.bucket.push_back({histogram.sample_count, static_cast<double>(int64_t{1} << i)});
  }
  histogram.sample_count += static_cast<uint64_t>(model.batch_sizes.back());
  histogram.sample_sum = static_cast<double>(model.batch_row_count);
  return histogram;
}

void AddModel(const std::string& name, const ModelStatistics& model, MetricList* list) {
  const auto count = [&](const char* metric, const char* help, auto value) {
    list->Counter(metric, help, static_cast<double>(value), {{"model", name}});
  };
  const auto by_lane = [&](const char* metric, const char* help, int64_t stream, int64_t query) {
    list->Counter(metric, help, static_cast<double>(stream), {{"model", name}, {"lane", "stream"}});
    list->Counter(metric, help, static_cast<double>(query), {{"model", name}, {"lane", "query"}});
  };
  by_lane("rows_total", "Rows whose logits were computed, for streams or for queries.",
          model.stream_row_count, model.query_row_count);
  by_lane("batches_total", "Forward passes, for streams or for queries.", model.stream_batch_count,
          model.query_batch_count);
  list->AddHistogram("batch_rows", "Rows of a forward pass.", BatchSizes(model), {{"model", name}});
  count("queries_total", "Queries answered.", model.query_count);
  count("failed_queries_total", "Queries that ended with an error once they were queued.",
        model.failed_query_count);
  count("queue_seconds_total", "Seconds that queries waited for the device, summed over queries.",
        absl::ToDoubleSeconds(model.queue_time));
  count("compute_seconds_total", "Seconds in the model, summed over forward passes.",
        absl::ToDoubleSeconds(model.compute_time));
  count("split_batches_total", "Batches split since the device had no memory for them.",
        model.split_batch_count);
}

void AddCache(const LogitCache::Stats& stats, MetricList* list) {
  const auto count = [&](const char* metric, const char* help, int64_t value) {
    list->Counter(metric, help, static_cast<double>(value));
  };
  count("cache_hits_total", "Shards found in the cache on disk.", stats.hits);
  count("cache_misses_total", "Shards not found in the cache on disk.", stats.misses);
  count("cache_evictions_total", "Cache files removed to keep to the size limit.", stats.evictions);
  count("cache_corrupt_files_total", "Cache files removed because they were damaged.",
        stats.corrupt);
  count("cache_failed_writes_total", "Cache files given up because the disk refused them.",
        stats.failed_writes);
  list->Gauge("cache_bytes", "Bytes of the cache files.", static_cast<double>(stats.bytes));
  list->Gauge("cache_files", "Cache files.", static_cast<double>(stats.files));
}

}  // namespace

std::vector<prometheus::MetricFamily> TeacherMetrics::Collect() const {
  MetricList list("distillery_teacher_");
  const auto count = [&](const char* metric, const char* help, auto value) {
    list.Counter(metric, help, static_cast<double>(value));
  };
  const auto gauge = [&](const char* metric, const char* help, auto value) {
    list.Gauge(metric, help, static_cast<double>(value));
  };
  list.AddBuildInfo();
  gauge("draining", "1 while the service ends and takes no new calls, else 0.",
        host_->draining() ? 1 : 0);

  const ComputeScheduler& scheduler = host_->scheduler();
  const std::map<std::string, ModelStatistics> statistics = scheduler.statistics();
  for (const std::string& name : host_->models().Names()) {
    const auto teacher = host_->models().Find(name);
    list.Gauge("model_ready", "1 if the model is loaded, else 0.", teacher.ok() ? 1 : 0,
               {{"model", name}});
    if (teacher.ok()) {
      list.Gauge("model_info", "Always 1; the label says which digest is served.", 1,
                 {{"model", name}, {"digest", (*teacher)->info().digest}});
    }
    const auto of_model = statistics.find(name);
    AddModel(name, of_model == statistics.end() ? ModelStatistics() : of_model->second, &list);
  }
  gauge("queued_rows", "Rows of queries that wait for the device.", scheduler.queued_query_rows());
  gauge("queued_cuts", "Cuts of shards that wait for the device.", scheduler.queued_cuts());
  gauge("busy_slots", "Batches that are computed now.", scheduler.busy_slots());
  gauge("compute_slots", "Batches that can be computed at once.", host_->options().compute.slots);

  const StreamStatistics streams = streams_->statistics();
  gauge("open_streams", "Streams that are open.", streams.open_count);
  count("finished_streams_total", "Streams that ended with their trailer.", streams.finished_count);
  count("failed_streams_total", "Streams that ended with an error, cancelled ones included.",
        streams.failed_count);
  count("streamed_rows_total", "Rows encoded for streams.", streams.row_count);
  count("streamed_bytes_total", "Bytes of tensors encoded for streams.", streams.byte_count);
  count("encode_seconds_total", "Seconds of encoding, summed over messages.",
        absl::ToDoubleSeconds(streams.encode_time));

  if (LogitCache* const cache = host_->cache(); cache != nullptr) AddCache(cache->stats(), &list);
  const LogitSource& logits = host_->logits();
  gauge("memory_cache_bytes", "Bytes of logits computed lately that are kept in memory.",
        logits.memory_bytes());
  count("memory_cache_hits_total", "Cuts given from memory.", logits.memory_hit_count());
  count("shared_cuts_total", "Cuts that a stream asked for while another had them computed.",
        logits.shared_count());

  const Listener::Statistics connections = server_->connections();
  gauge("open_connections", "Connections that are open.", connections.open_count);
  count("accepted_connections_total", "Connections accepted.", connections.accepted_count);
  count("refused_connections_total",
        "Connections closed at once: too many were open, or no file descriptor was left.",
        connections.refused_count);
  const CallQuota::Statistics calls = server_->calls();
  gauge("open_calls", "Calls under way, streams and cancelled ones not yet cleared away included.",
        calls.live_count);
  count("refused_calls_total", "Calls refused because too many were under way.",
        calls.refused_count);
  return list.Take();
}

}  // namespace distillery
