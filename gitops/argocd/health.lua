-- Health of a DataProduct (sluicegate.dev) for Argo CD; no library is needed.
local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, one in ipairs(obj.status.conditions) do
      if one.type == kind and one.status == "True" then
        return one
      end
    end
  end
  return nil
end

local function health(status, message)
  return { status = status, message = message }
end

if obj.status == nil or obj.status.conditions == nil then
  return health("Progressing", "waits for the operator")
end
if obj.status.observedGeneration == nil or obj.status.observedGeneration < obj.metadata.generation then
  return health("Progressing", "waits for the operator to take up the change")
end

local stalled = condition("Stalled")
if stalled ~= nil then
  return health("Degraded", stalled.reason .. ": " .. stalled.message)
end
if condition("Ready") == nil then
  local going_on = condition("Reconciling")
  if going_on ~= nil then
    return health("Progressing", going_on.message)
  end
  for _, one in ipairs(obj.status.conditions) do
    if one.type == "Ready" then
      return health("Degraded", one.reason .. ": " .. one.message)
    end
  end
  return health("Progressing", "waits for the operator")
end

local degraded = condition("Degraded")
if degraded ~= nil then
  return health("Degraded", degraded.message)
end
local candidate = obj.status.candidate
if candidate ~= nil and candidate.phase == "AwaitingApproval" then
  return health("Suspended", candidate.version .. " waits for a person: promote or abort")
end
if obj.spec.suspend then
  return health("Suspended", "spec.suspend is set")
end
if candidate ~= nil and candidate.phase ~= "Parked" then
  -- A canary may take hours, and serves all the while: a sync doesn't wait for it.
  return health("Healthy", candidate.version .. " takes " .. candidate.weight .. " % of the traffic")
end
return health("Healthy", condition("Ready").message)
