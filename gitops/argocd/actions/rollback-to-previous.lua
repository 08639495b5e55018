-- To the youngest version of the history that isn't the stable one.
local version = nil
for _, one in ipairs(obj.status.history) do
  if version == nil and one.version ~= obj.status.stable.version then
    version = one.version
  end
end
if version == nil then
  return obj
end
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["sluicegate.dev/rollback-to"] = version .. "/" .. obj.metadata.resourceVersion
return obj
