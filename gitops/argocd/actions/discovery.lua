-- Which actions a person has on a DataProduct now. A disabled one says why by its name alone.
local status = obj.status or {}
local candidate = status.candidate
local tried = candidate ~= nil and candidate.phase ~= "Parked" and candidate.phase ~= "RollingBack"

local rejected = false
for _, one in ipairs(status.conditions or {}) do
  if one.type == "Stalled" and one.status == "True" and one.reason == "ModelRejected" then
    rejected = true
  end
end

local before = false
for _, one in ipairs(status.history or {}) do
  if status.stable ~= nil and one.version ~= status.stable.version then
    before = true
  end
end

local parked = candidate ~= nil and candidate.phase == "Parked"
local retrained = obj.spec.retraining ~= nil and obj.spec.retraining.mode ~= "Disabled"

return {
  ["promote"] = { ["disabled"] = not (tried or parked or rejected) },
  ["abort"] = { ["disabled"] = not tried },
  ["retrain"] = { ["disabled"] = not (retrained and status.stable ~= nil) },
  ["rollback-to-previous"] = { ["disabled"] = not before },
}
