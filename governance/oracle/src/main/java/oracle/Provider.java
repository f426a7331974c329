package oracle;

import org.apache.dubbo.common.URL;
import org.apache.dubbo.rpc.Invocation;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.Result;

/** A provider that is only routed to, never called. */
record Provider<T>(Class<T> type, URL url) implements Invoker<T> {
    @Override
    public Class<T> getInterface() {
        return type;
    }

    @Override
    public URL getUrl() {
        return url;
    }

    @Override
    public boolean isAvailable() {
        return true;
    }

    @Override
    public Result invoke(Invocation invocation) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void destroy() {}
}
